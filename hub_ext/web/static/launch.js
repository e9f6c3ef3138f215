/* The launch form, live: sliders beside their numbers, what depends on what, and sending it once. */

import { startForecast } from "./launch_forecast.js";
import "./launch_images.js";
import { amounts, summarise } from "./launch_summary.js";
import { all, byId, form, gib, number, percent, text } from "./launch_texts.js";

/* Numbers: a slider follows its field and the other way round. */
function linkSliders() {
  for (const slider of all(".form-range")) {
    const field = document.getElementById(slider.dataset.for);
    slider.hidden = false;
    slider.addEventListener("input", () => {
      field.value = slider.value;
      field.dispatchEvent(new Event("input", { bubbles: true }));
    });
    field.addEventListener("input", () => {
      slider.value = field.value;
    });
    slider.value = field.value;
  }
}

function linkPresets() {
  const own = byId("preset-own");
  const setField = (name, value) => {
    const field = byId(name);
    if (!field) return;
    field.value = value;
    form.querySelector(`[data-for="${field.id}"]`).value = value;
  };
  const apply = () => {
    if (!own.checked) {
      const { fgpu, cpu, memoryMib } = amounts();
      setField("fgpu", fgpu);
      setField("cpu", cpu);
      setField("memory_gib", memoryMib / 1024);
    }
    showMeaning();
  };
  for (const preset of all('input[name="preset"]')) preset.addEventListener("change", apply);
  for (const field of ["fgpu", "cpu", "memory_gib"].map(byId).filter(Boolean)) {
    field.addEventListener("input", () => {
      own.checked = true;
      showMeaning();
    });
  }
  apply();
}

function showMeaning() {
  const field = byId("fgpu");
  if (!field) return;
  const fgpu = Number(field.value);
  const memory = Math.floor(fgpu * Number(form.dataset.gpuMemoryMib));
  const share = fgpu / Number(form.dataset.fgpuPerGpu);
  const parts = [];
  if (!fgpu) parts.push(text("NoGpu"));
  else if (memory) parts.push(text("GpuMemory", { fgpu: number(fgpu), memory: gib(memory) }));
  if (fgpu && Number.isFinite(share)) parts.push(text("GpuShare", { percent: percent(share) }));
  byId("fgpu-meaning").textContent = parts.join(", ");
}

/* What one may ask for depends on the project. */
function linkProject() {
  const project = byId("project");
  if (!project) return;
  const apply = () => {
    const { maxPriority, maxLifetimeH } = project.selectedOptions[0].dataset;
    byId("priority").max = maxPriority;
    byId("lifetime_h").max = maxLifetimeH;
    const least = form.dataset.priorityMin;
    byId("priority-meaning").textContent = text("Priority", { least, most: maxPriority });
    byId("lifetime_h-meaning").textContent = maxLifetimeH
      ? text("Lifetime", { hours: number(Number(maxLifetimeH)) })
      : text("LifetimeOpen");
  };
  project.addEventListener("change", apply);
  apply();
}

/* A start time is meant by the reader's own clock; without script by the site's. */
function useOwnTimeZone() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!zone) return;
  byId("not_before_zone").value = zone;
  form.querySelector('label[for="launch-not_before"]').textContent = text("NotBefore", { zone });
}

/* The browser cannot point at a wrong field in a folded part. */
function unfoldWrong() {
  for (const folded of all("details")) {
    folded.addEventListener("invalid", () => (folded.open = true), true);
  }
}

/* Sent once: the button rests until the answer is there, or the reader comes back to the page. */
function sendOnce() {
  const around = form.closest("form");
  const button = byId("send");
  const spinner = button.querySelector(".spinner-border");
  const caption = byId("send-text");
  const idle = caption.textContent;
  const rest = (sending) => {
    button.disabled = sending;
    spinner.hidden = !sending;
    caption.textContent = sending ? text("Sending") : idle;
  };
  around.addEventListener("submit", (event) => {
    if (button.disabled) event.preventDefault();
    else rest(true);
  });
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    rest(false);
    renewKeys();
  });
  for (const again of document.querySelectorAll("form.launch-again")) {
    again.addEventListener("submit", () => {
      for (const each of document.querySelectorAll("form.launch-again button")) each.disabled = true;
    });
  }
}

/* A page that the browser has kept for its back button is a new form: what it sends is not what it
   has sent before. */
function renewKeys() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const key = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  for (const field of document.querySelectorAll('input[name="key"]')) field.value = key;
  for (const button of document.querySelectorAll("form.launch-again button")) button.disabled = false;
}

/* The focus is on what was refused, also where a script has put other fields in its place. */
function focusRefused() {
  if (!form.dataset.refused) return;
  const wrong = all("[autofocus]")[0];
  const target = wrong?.id === "launch-image" ? byId("version") : wrong;
  if (wrong !== target) {
    target.classList.add("is-invalid");
    target.setAttribute("aria-invalid", "true");
  }
  (target || byId("refusal"))?.focus();
}

linkSliders();
linkPresets();
linkProject();
useOwnTimeZone();
unfoldWrong();
sendOnce();
focusRefused();
form.addEventListener("input", summarise);
form.addEventListener("change", summarise);
summarise();
startForecast();
