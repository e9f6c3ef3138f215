// Small behaviour shared by all pages: local times, and errors that say what is wrong.
"use strict";

const localTimes = (root) => {
  for (const element of root.querySelectorAll("time[datetime]:not([data-local])")) {
    const date = new Date(element.dateTime);
    if (Number.isNaN(date.getTime())) continue;
    element.textContent = date.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
    element.dataset.local = "";
  }
};

const problem = (text) => {
  const box = document.getElementById("problem");
  box.textContent = text;
  box.classList.toggle("d-none", !text);
};

const ENDED = "ended-sessions";
let endedOpen = false;

document.addEventListener("DOMContentLoaded", () => localTimes(document));
document.body.addEventListener("htmx:beforeSwap", () => {
  endedOpen = document.getElementById(ENDED)?.open ?? false;
});
document.body.addEventListener("htmx:afterSwap", (event) => {
  const ended = document.getElementById(ENDED);
  if (ended) ended.open = endedOpen;
  localTimes(event.detail.target);
});
document.body.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.requestConfig?.verb !== "delete" || !event.detail.successful) return;
  problem("");
  htmx.trigger("#sessions", "refresh");
});
document.body.addEventListener("htmx:responseError", (event) => {
  const { status, responseText } = event.detail.xhr;
  if (status === 401 || status === 403) {
    problem("Your login has ended. Reload the page to log in again.");
    return;
  }
  try {
    problem(JSON.parse(responseText).error.message);
  } catch {
    problem("The service could not do that. Try again in a moment.");
  }
});
document.body.addEventListener("htmx:sendError", () => {
  problem("The service does not answer; this page shows the last known state and keeps trying.");
});
document.body.addEventListener("htmx:sseOpen", () => {
  problem("");
  htmx.trigger("#sessions", "refresh");
});
