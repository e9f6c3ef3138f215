/* Follows one spawn. Events come from the hub's own stream; when that breaks off (a restarted hub
   answers 400 there) the page polls, and asks for its server again. Text is only set as text. */
(() => {
  "use strict";

  const page = document.getElementById("pending");
  const byId = (id) => document.getElementById(`pending-${id}`);
  const { user, server, progressUrl } = page.dataset;
  const hub = window.jhdata.base_url;
  const path = `${encodeURIComponent(user)}/${encodeURIComponent(server)}`;
  const serverUrl = `${hub}api/users/${encodeURIComponent(user)}/servers/${encodeURIComponent(server)}`;
  const queueUrl = `${hub}apportion/queue/${path}`;
  const LIVE = ["PENDING", "SCHEDULED", "PREPARING", "STARTING", "RUNNING", "PREEMPTED"];
  const POLL_MS = 2000;
  /* The hub's stream speaks English; whoever reads another language asks. */
  const ENGLISH = page.lang === "en";
  const REQUEST_AGAIN_MS = 10000;
  const SILENCE_MS = 4000;
  let streams = ENGLISH;
  let over = false;
  let requestedAt = 0;
  let lastLine = "";

  /* Texts of the page in its language, with {places} filled in. */
  function text(name, places = {}) {
    return (page.dataset[`text${name}`] || "").replace(/\{(\w+)\}/g, (whole, key) => places[key] ?? whole);
  }

  const number = (value) => new Intl.NumberFormat(page.lang).format(value);

  function call(method, url) {
    return fetch(url, {
      method,
      headers: { "X-XSRFToken": window.jhdata.xsrf_token, "Content-Type": "application/json" },
    });
  }

  function estimate(seconds) {
    if (seconds === null || seconds === undefined) return "";
    if (seconds < 90) return text("Minute");
    if (seconds < 3600) return text("Minutes", { number: number(Math.round(seconds / 60)) });
    if (seconds > 36 * 3600) return text("Days", { number: number(Math.round(seconds / 86400)) });
    const hours = Math.round(seconds / 1800) / 2;
    return hours === 1 ? text("Hour") : text("Hours", { number: number(hours) });
  }

  function show(event) {
    const queue = event.queue || {};
    const waits = Boolean(queue.position);
    const headline = waits ? text("Number", { position: queue.position }) : event.message || "";
    if (headline) byId("headline").textContent = headline;
    byId("estimate").textContent = waits ? estimate(queue.estimate_s) : "";
    byId("setback").textContent = queue.setback || "";
    byId("reason").textContent = queue.reason || "";
    byId("help").textContent = queue.help || "";
    if (event.progress !== undefined) {
      byId("bar").style.width = `${event.progress}%`;
      byId("bar").setAttribute("aria-valuenow", event.progress);
    }
    log(ENGLISH ? event.message || headline : headline);
  }

  function log(said) {
    if (!said || said === lastLine) return;
    lastLine = said;
    const line = document.createElement("li");
    line.textContent = `${new Date().toLocaleTimeString(page.lang)}  ${said}`;
    byId("log").append(line);
  }

  function failed(why) {
    over = true;
    byId("headline").textContent = text("NotStarted");
    byId("estimate").textContent = "";
    byId("setback").textContent = "";
    byId("reason").textContent = why;
    byId("help").textContent = "";
    byId("note").hidden = true;
    byId("cancel").hidden = true;
    byId("retry").hidden = false;
    byId("home").hidden = false;
    byId("bar").classList.add("bg-danger");
    log(why);
  }

  function follow() {
    const source = new EventSource(progressUrl);
    /* A proxy that holds events back looks like a silent stream: then ask instead. */
    const silent = setTimeout(() => {
      source.close();
      streams = false;
      poll();
    }, SILENCE_MS);
    source.onmessage = (message) => {
      clearTimeout(silent);
      const event = JSON.parse(message.data);
      if (over) {
        source.close();
      } else if (event.ready) {
        source.close();
        window.location.reload();
      } else if (event.failed) {
        source.close();
        afterFailure(String(event.message || "").replace(/^Spawn failed: /, ""));
      } else {
        show(event);
      }
    };
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) return;
      clearTimeout(silent);
      if (!over) setTimeout(poll, POLL_MS / 2);
    };
  }

  /* A start whose slice was reclaimed has failed, but its session waits again. Asked twice, for a
     cancel may still be on its way to the queue. */
  async function afterFailure(why) {
    if (!(await waitsAgain())) return failed(why);
    setTimeout(async () => ((await waitsAgain()) ? poll() : failed(why)), POLL_MS);
  }

  async function waitsAgain() {
    const response = await call("GET", queueUrl).catch(() => null);
    const queue = response && response.ok ? (await response.json()).queue : null;
    return Boolean(queue && queue.session_id && ["PENDING", "PREEMPTED"].includes(queue.status));
  }

  async function poll() {
    if (over) return;
    let answer;
    try {
      const response = await call("GET", queueUrl);
      if (response.status === 403) return window.location.reload();
      answer = response.ok ? await response.json() : null;
    } catch {
      answer = null;
    }
    if (over) return;
    if (answer === null) {
      show({ message: text("Restarting") });
    } else if (answer.ready) {
      return window.location.reload();
    } else if (answer.pending === "spawn" && streams) {
      return follow();
    } else if (answer.pending === "spawn") {
      show(answer);
    } else if (!answer.pending) {
      const queue = answer.queue;
      if (!queue || !LIVE.includes(queue.status)) {
        return failed((queue && queue.reason) || text("Gone"));
      }
      show({ message: text("Waiting"), queue });
      await requestAgain();
    }
    setTimeout(poll, POLL_MS);
  }

  /* The hub keeps the options of the request; it finds its old place in the queue. */
  async function requestAgain() {
    if (Date.now() - requestedAt < REQUEST_AGAIN_MS) return;
    requestedAt = Date.now();
    await call("POST", serverUrl).catch(() => null);
  }

  async function cancel() {
    over = true;
    byId("cancel").disabled = true;
    byId("headline").textContent = text("Cancelling");
    try {
      const stopped = await call("DELETE", serverUrl);
      const dropped = await call("DELETE", queueUrl);
      if (stopped.ok || dropped.ok) {
        window.location.href = `${window.jhdata.prefix}services/apportion/`;
        return;
      }
      notCancelled(text("Answered", { status: stopped.status }));
    } catch {
      notCancelled(text("NoAnswer"));
    }
  }

  function notCancelled(why) {
    over = false;
    byId("cancel").disabled = false;
    byId("headline").textContent = text("NotCancelled");
    byId("reason").textContent = why;
    setTimeout(poll, POLL_MS);
  }

  byId("cancel").addEventListener("click", cancel);
  if (streams) follow();
  else poll();
  window._jupyterhub_page_loaded = true;
})();
