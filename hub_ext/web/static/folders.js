// Pages of folders and images: what opens for typing.
"use strict";

(() => {
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
