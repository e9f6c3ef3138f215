// Pages of the admin: what opens is for typing into, Escape closes it, and what a form has said
// is where the reader is next.
"use strict";

(() => {
  const panels = ".folder-panel[open], .folder-confirm[open]";
  document.addEventListener("toggle", (event) => {
    if (event.target.matches?.(panels)) {
      event.target.querySelector("input:not([type=hidden]), button")?.focus();
    }
  }, true);
  document.addEventListener("keydown", (event) => {
    const open = event.key === "Escape" && event.target.closest?.(panels);
    if (!open) return;
    open.open = false;
    open.querySelector("summary").focus();
  });
  document.body.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target === document.body) document.querySelector("#said .alert")?.focus();
  });
})();
