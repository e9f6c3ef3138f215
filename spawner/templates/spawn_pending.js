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
  const REQUEST_AGAIN_MS = 10000;
  const SILENCE_MS = 4000;
  let streams = true;
  let over = false;
  let requestedAt = 0;
  let lastLine = "";

  function call(method, url) {
    return fetch(url, {
      method,
      headers: { "X-XSRFToken": window.jhdata.xsrf_token, "Content-Type": "application/json" },
    });
  }

  function estimate(seconds) {
    if (seconds === null || seconds === undefined) return "";
    if (seconds < 90) return "About a minute";
    if (seconds < 3600) return `About ${Math.round(seconds / 60)} minutes`;
    const hours = Math.round(seconds / 1800) / 2;
    return hours === 1 ? "About an hour" : `About ${hours} hours`;
  }

  function show(event) {
    const queue = event.queue || {};
    const waits = Boolean(queue.position);
    const headline = waits ? `Number ${queue.position} in the queue` : event.message || "";
    if (headline) byId("headline").textContent = headline;
    byId("estimate").textContent = waits ? estimate(queue.estimate_s) : "";
    byId("setback").textContent = queue.setback || "";
    byId("reason").textContent = queue.reason || "";
    byId("help").textContent = queue.help || "";
    if (event.progress !== undefined) {
      byId("bar").style.width = `${event.progress}%`;
      byId("bar").setAttribute("aria-valuenow", event.progress);
    }
    log(event.message || headline);
  }

  function log(text) {
    if (!text || text === lastLine) return;
    lastLine = text;
    const line = document.createElement("li");
    line.textContent = `${new Date().toLocaleTimeString()}  ${text}`;
    byId("log").append(line);
  }

  function failed(text) {
    over = true;
    byId("headline").textContent = "Not started";
    byId("estimate").textContent = "";
    byId("setback").textContent = "";
    byId("reason").textContent = text;
    byId("help").textContent = "";
    byId("note").hidden = true;
    byId("cancel").hidden = true;
    byId("retry").hidden = false;
    byId("home").hidden = false;
    byId("bar").classList.add("bg-danger");
    log(text);
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
  async function afterFailure(text) {
    if (!(await waitsAgain())) return failed(text);
    setTimeout(async () => ((await waitsAgain()) ? poll() : failed(text)), POLL_MS);
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
      show({ message: "The hub is restarting; your place is kept." });
    } else if (answer.ready) {
      return window.location.reload();
    } else if (answer.pending === "spawn" && streams) {
      return follow();
    } else if (answer.pending === "spawn") {
      show(answer);
    } else if (!answer.pending) {
      const queue = answer.queue;
      if (!queue || !LIVE.includes(queue.status)) {
        return failed((queue && queue.reason) || "The request is no longer in the queue.");
      }
      show({ message: "Waiting in the queue", queue });
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
    byId("headline").textContent = "Cancelling";
    try {
      const stopped = await call("DELETE", serverUrl);
      const dropped = await call("DELETE", queueUrl);
      if (!stopped.ok && !dropped.ok) throw new Error(`The hub answered ${stopped.status}.`);
      window.location.href = `${hub}home`;
    } catch (error) {
      over = false;
      byId("cancel").disabled = false;
      byId("headline").textContent = "Not cancelled";
      byId("reason").textContent = `${error.message} Please try again.`;
      setTimeout(poll, POLL_MS);
    }
  }

  byId("cancel").addEventListener("click", cancel);
  follow();
  window._jupyterhub_page_loaded = true;
})();
