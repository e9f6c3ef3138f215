// Small behaviour shared by all pages: local times, and errors that say what is wrong.
"use strict";

document.documentElement.classList.add("scripted");

// Made once: a page may have hundreds of times.
const clock = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });

const localTimes = (root) => {
  for (const element of root.querySelectorAll("time[datetime]:not([data-local]):not(.countdown)")) {
    const date = new Date(element.dateTime);
    if (Number.isNaN(date.getTime())) continue;
    element.textContent = clock.format(date);
    element.dataset.local = "";
  }
};

// Counts from what is left, not to a time of day: the browser's clock may be wrong.
const countdowns = (root) => {
  for (const element of root.querySelectorAll("time.countdown:not([data-ends])")) {
    element.dataset.ends = performance.now() / 1000 + Number(element.dataset.secondsLeft);
  }
};

// Texts in the page's language, from the body's data-text-... attributes.
const text = (name) => document.body.dataset[`text${name}`];

const left = (seconds) =>
  seconds < 120
    ? text("Seconds").replace("{number}", Math.ceil(seconds))
    : text("Minutes").replace("{number}", Math.round(seconds / 60));

setInterval(() => {
  for (const element of document.querySelectorAll("time.countdown[data-ends]")) {
    const seconds = Number(element.dataset.ends) - performance.now() / 1000;
    element.textContent = seconds > 0 ? left(seconds) : text("Now");
  }
}, 1000);

const refresh = () => {
  for (const id of ["#sessions", "#session"]) {
    if (document.querySelector(id)) htmx.trigger(id, "refresh");
  }
};

// Forms of the API speak JSON; a number field is a number there.
htmx.defineExtension("json", {
  onEvent: (name, event) => {
    if (name === "htmx:configRequest") {
      event.detail.headers["Content-Type"] = "application/json";
    }
  },
  encodeParameters: (xhr, parameters, element) => {
    const values = {};
    for (const field of element.elements) {
      if (field.name) {
        values[field.name] = field.type === "number" ? Number(field.value) : field.value;
      }
    }
    return JSON.stringify(values);
  },
});

const problem = (text) => {
  const box = document.getElementById("problem");
  box.textContent = text;
  box.classList.toggle("d-none", !text);
  if (text) box.scrollIntoView({ block: "nearest" });
};

document.addEventListener("DOMContentLoaded", () => {
  showEndOfLog();
  localTimes(document);
  countdowns(document);
});
document.body.addEventListener("htmx:afterSwap", () => {
  showEndOfLog();
  localTimes(document);
  countdowns(document);
});
document.body.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.requestConfig?.verb === "get" || !event.detail.successful) return;
  problem("");
  document.activeElement?.blur();
  refresh();
  const asked = event.detail.elt.closest?.("details.confirm[open]");
  if (!asked) return;
  asked.open = false;
  // What was said is heard, and the keyboard goes on from there.
  document.querySelector("#said .alert")?.focus();
});

// Boxes that open below a button: the keyboard goes into them, and out again with Escape.
document.addEventListener("toggle", (event) => {
  const opened = event.target;
  if (!opened.matches?.("details.confirm[open]")) return;
  for (const other of document.querySelectorAll("details.confirm[open]")) {
    if (other !== opened && !other.contains(opened)) other.open = false;
  }
  opened.querySelector("input:not([type=hidden]), button, a")?.focus();
}, true);
document.addEventListener("keydown", (event) => {
  const open = event.key === "Escape" && event.target.closest?.("details.confirm[open]");
  if (!open) return;
  open.open = false;
  open.querySelector("summary").focus();
});

// One box that ticks all on the page. It is renewed with its table.
document.addEventListener("change", (event) => {
  if (event.target.id !== "tick-all") return;
  for (const box of document.querySelectorAll("input[form=bulk][type=checkbox]")) {
    box.checked = event.target.checked;
  }
});

// The end of a log stays in view, unless somebody has scrolled up in it.
document.addEventListener("htmx:beforeSwap", () => {
  const lines = document.getElementById("log-lines");
  if (lines) lines.dataset.up = lines.scrollHeight - lines.scrollTop - lines.clientHeight > 40 ? "1" : "";
});
const showEndOfLog = () => {
  const lines = document.getElementById("log-lines");
  if (lines && !lines.dataset.up) lines.scrollTop = lines.scrollHeight;
};
document.body.addEventListener("htmx:responseError", (event) => {
  const { status, responseText } = event.detail.xhr;
  let message = "";
  try {
    message = JSON.parse(responseText).error.message;
  } catch {
    message = status === 403 ? "" : text("Failed");
  }
  problem(status === 401 ? text("Login") : message || text("Login"));
});
document.body.addEventListener("htmx:sendError", () => {
  problem(text("Away"));
});
