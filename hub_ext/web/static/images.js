// Pages of images: what was asked for before somebody began to use a part does not replace it.
"use strict";

document.body.addEventListener("htmx:beforeSwap", (event) => {
  const part = event.detail.target;
  if (!part.matches("[data-live]")) return;
  if (part.querySelector("details[open]") || part.querySelector(":focus")) {
    event.detail.shouldSwap = false;
  }
});
