/* The live line: what would happen if the form were sent now. It asks when the form has rested for a
   moment, drops an answer that is out of date, and makes no noise when the service is away. */

import { launchOptions } from "./launch_options.js";
import { all, byId, form, text } from "./launch_texts.js";

const DEBOUNCE_MS = 300;
const AGAIN_MS = 60_000;
const box = byId("forecast");
const hub = window.jhdata;
let timer = 0;
let asking = null;

/* On the hub's page the hub asks for its user; on the service's own page the service itself. */
function request() {
  const { dryRunUrl, user, server } = form.dataset;
  if (!hub) {
    return [dryRunUrl, form.closest("form").querySelector('[name="_xsrf"]')?.value ?? ""];
  }
  return [`${dryRunUrl}${encodeURIComponent(user)}/${encodeURIComponent(server)}`, hub.xsrf_token];
}

export function askSoon() {
  clearTimeout(timer);
  asking?.abort();
  box.classList.add("launch-stale");
  timer = setTimeout(ask, DEBOUNCE_MS);
}

async function ask() {
  asking?.abort();
  const mine = (asking = new AbortController());
  const [url, xsrf] = request();
  let response = null;
  let answer = {};
  try {
    response = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-XSRFToken": xsrf },
      body: JSON.stringify(launchOptions()),
      signal: mine.signal,
    });
    answer = await response.json();
  } catch {
    if (mine.signal.aborted) return;
  }
  if (mine !== asking) return;
  clearErrors();
  if (response?.ok && answer.sentence) showForecast(answer);
  else if (answer.error && [400, 409, 422].includes(response.status)) showError(answer.error);
  else show("secondary", text([401, 403].includes(response?.status) ? "Login" : "Away"));
}

function showForecast(answer) {
  const reason = answer.reason || {};
  show(answer.starts_now ? "success" : "warning", answer.sentence, reason.help || "");
  suggestReclaim(reason.code === "project_quota");
}

function show(kind, sentence, help = "") {
  box.hidden = !sentence;
  box.className = `alert alert-${kind}`;
  byId("sentence").textContent = sentence;
  byId("help").textContent = help;
  suggestReclaim(false);
}

/* Over the quota of its project a session gets in only as one that may be reclaimed. */
function suggestReclaim(would) {
  byId("suggest").hidden = !would || byId("preemptible").checked;
}

function linkSuggestion() {
  byId("suggest").addEventListener("click", () => {
    const choice = byId("preemptible");
    choice.checked = true;
    choice.focus();
    choice.dispatchEvent(new Event("change", { bubbles: true }));
  });
}

const FIELDS = {
  memory_mib: "memory_gib",
  new_folders: "new_folder",
  folder: "folders",
  lifetime_s: "lifetime_h",
};

function showError(error) {
  const named = String(error.field || "").split(".")[0];
  let name = FIELDS[named] || named;
  if (name === "image" && byId("image_by_name")?.value.trim()) name = "image_by_name";
  const place = byId(`${name}-error`);
  show("danger", error.message);
  suggestReclaim(name === "preemptible");
  if (!place) return;
  place.textContent = error.message;
  const folded = place.closest("details");
  if (folded) folded.open = true;
  const field = byId(name === "image" ? "version" : name);
  if (!field) return;
  field.classList.add("is-invalid");
  field.setAttribute("aria-invalid", "true");
}

function clearErrors() {
  for (const place of all(".invalid-feedback")) place.textContent = "";
  for (const field of all(".is-invalid")) {
    field.classList.remove("is-invalid");
    field.removeAttribute("aria-invalid");
  }
}

/* The lab changes while the form is open: look again now and then, while somebody looks at it. */
function keepFresh() {
  const again = () => {
    if (!document.hidden) ask();
  };
  setInterval(() => document.hasFocus() && again(), AGAIN_MS);
  document.addEventListener("visibilitychange", again);
}

export function startForecast() {
  linkSuggestion();
  form.addEventListener("input", askSoon);
  form.addEventListener("change", askSoon);
  /* what the server has just refused stays marked until something is changed */
  if (form.dataset.refused) return;
  show("secondary", text("Asking"));
  ask();
  keepFresh();
}
