// Small behaviour shared by all pages: local times, and errors that say what is wrong.
"use strict";

// Made once: a page may have hundreds of times.
const clock = new Intl.DateTimeFormat([], { dateStyle: "medium", timeStyle: "short" });

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

const left = (seconds) =>
  seconds < 120 ? `in ${Math.ceil(seconds)} s` : `in ${Math.round(seconds / 60)} minutes`;

setInterval(() => {
  for (const element of document.querySelectorAll("time.countdown[data-ends]")) {
    const seconds = Number(element.dataset.ends) - performance.now() / 1000;
    element.textContent = seconds > 0 ? left(seconds) : "now";
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

const ENDED = "ended-sessions";
let endedOpen = false;

document.addEventListener("DOMContentLoaded", () => {
  localTimes(document);
  countdowns(document);
});
document.body.addEventListener("htmx:beforeSwap", () => {
  endedOpen = document.getElementById(ENDED)?.open ?? false;
});
// Nobody's typing is replaced.
document.body.addEventListener("htmx:beforeRequest", (event) => {
  const typing = document.activeElement?.closest("#session form") != null;
  if (typing && event.detail.elt.id === "session") event.preventDefault();
});
document.body.addEventListener("htmx:afterSwap", (event) => {
  const ended = document.getElementById(ENDED);
  if (ended) ended.open = endedOpen;
  localTimes(document);
  countdowns(document);
});
document.body.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.requestConfig?.verb === "get" || !event.detail.successful) return;
  problem("");
  document.activeElement?.blur();
  refresh();
});
document.body.addEventListener("htmx:responseError", (event) => {
  const { status, responseText } = event.detail.xhr;
  let message = "";
  try {
    message = JSON.parse(responseText).error.message;
  } catch {
    message = status === 403 ? "" : "The service could not do that. Try again in a moment.";
  }
  const ended = "Your login has ended. Reload the page to log in again.";
  problem(status === 401 ? ended : message || ended);
});
document.body.addEventListener("htmx:sendError", () => {
  problem("The service does not answer; this page shows the last known state and keeps trying.");
});
document.body.addEventListener("htmx:sseOpen", () => {
  problem("");
  refresh();
});
