// Pages of folders: parts that stay up to date, and what opens for typing.
"use strict";

(() => {
  // A part that is being used is not replaced; what nobody sees is not asked for.
  document.body.addEventListener("htmx:beforeRequest", (event) => {
    const part = event.detail.elt;
    if (!part.matches("[data-live]")) return;
    const used = part.querySelector("details[open]") || part.querySelector(":focus");
    if (used || document.hidden) event.preventDefault();
  });
  document.body.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target === document.body) {
      document.querySelector("#said .alert")?.focus();
    }
  });
  // What is opened is for typing into.
  document.addEventListener("toggle", (event) => {
    const opened = event.target;
    if (opened.matches?.(".folder-panel[open], .folder-confirm[open]")) {
      opened.querySelector("input:not([type=hidden]), button")?.focus();
    }
  }, true);
  document.addEventListener("keydown", (event) => {
    const open = event.key === "Escape" && event.target.closest?.(".folder-confirm[open], .folder-panel[open]");
    if (!open) return;
    open.open = false;
    open.querySelector("summary").focus();
  });
})();
