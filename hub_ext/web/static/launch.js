/* The launch form, live: sliders beside their numbers, and one line that says what would happen
   if it were started now. Text is only ever set as text. launch_images.js has the images. */
(() => {
  "use strict";

  const form = document.getElementById("launch-form");
  if (!form) return;
  const DEBOUNCE_MS = 300;
  const byId = (id) => document.getElementById(id);
  const all = (selector) => [...form.querySelectorAll(selector)];
  const hub = window.jhdata || {};

  function gib(mib) {
    return mib % 1024 && mib < 1024 ? `${mib} MiB` : `${Math.round((mib / 1024) * 100) / 100} GiB`;
  }

  /* Numbers: a slider follows its field and the other way round. */
  function linkSliders() {
    for (const slider of all(".form-range")) {
      const field = byId(slider.dataset.for);
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

  const numbers = () => ["launch-fgpu", "launch-cpu", "launch-memory_gib"].map(byId).filter(Boolean);

  function linkPresets() {
    const own = byId("launch-preset-own");
    const setField = (field, value) => {
      if (!field) return;
      field.value = value;
      const slider = form.querySelector(`[data-for="${field.id}"]`);
      if (slider) slider.value = value;
    };
    const apply = () => {
      const preset = form.querySelector('input[name="preset"]:checked');
      if (preset && preset !== own) {
        setField(byId("launch-fgpu"), Number(preset.dataset.fgpu));
        setField(byId("launch-cpu"), Number(preset.dataset.cpu));
        setField(byId("launch-memory_gib"), Number(preset.dataset.memoryMib) / 1024);
      }
      showMeaning();
    };
    for (const preset of all('input[name="preset"]')) preset.addEventListener("change", apply);
    for (const field of numbers()) {
      field.addEventListener("input", () => {
        own.checked = true;
        showMeaning();
      });
    }
    apply();
  }

  function showMeaning() {
    const field = byId("launch-fgpu");
    if (!field) return;
    const perFgpu = Number(form.dataset.gpuMemoryMib);
    const share = Number(field.value) / Number(form.dataset.fgpuPerGpu);
    const parts = [];
    if (!Number(field.value)) parts.push("No GPU.");
    else if (Number.isFinite(share)) parts.push(`${Math.round(share * 1000) / 10} % of one GPU`);
    if (Number(field.value) && perFgpu) {
      parts.push(`${gib(Math.floor(Number(field.value) * perFgpu))} of GPU memory`);
    }
    byId("launch-fgpu-meaning").textContent = parts.join(", ");
  }

  /* What one may ask for depends on the project. */
  function linkProject() {
    const project = byId("launch-project");
    if (!project) return;
    const apply = () => {
      const { maxPriority, maxLifetimeH } = project.selectedOptions[0].dataset;
      const priority = byId("launch-priority");
      const lifetime = byId("launch-lifetime_h");
      priority.max = maxPriority;
      lifetime.max = maxLifetimeH;
      byId("launch-priority-meaning").textContent =
        "The higher goes first among the sessions of the project; " +
        `from ${priority.min} to ${maxPriority}.`;
      byId("launch-lifetime_h-meaning").textContent = maxLifetimeH
        ? `Left empty: ${maxLifetimeH}, the most that is allowed.`
        : "Left empty: no end.";
    };
    project.addEventListener("change", apply);
    apply();
  }

  /* The browser cannot point at a wrong field in a folded part. */
  function unfoldWrong() {
    const more = byId("launch-more");
    more.addEventListener("invalid", () => (more.open = true), true);
  }

  /* What the page would send, as launch options (the hub reads the same fields). */
  function launchOptions() {
    const value = (name) => {
      const field = form.querySelector(`[name="${name}"]`);
      return field ? field.value.trim() : "";
    };
    const options = {};
    for (const name of ["image", "name", "project"]) {
      if (value(name)) options[name] = value(name);
    }
    if (value("image_by_name")) options.image = value("image_by_name");
    if (byId("launch-preemptible").checked) {
      options.preemptible = true;
      options.requeue = byId("launch-requeue").checked;
    }
    if (value("priority")) options.priority = Number(value("priority"));
    if (value("lifetime_h")) options.lifetime_s = Math.round(Number(value("lifetime_h")) * 3600);
    const preset = form.querySelector('input[name="preset"]:checked');
    if (preset && preset.value !== "custom") {
      options.preset = preset.value;
    } else {
      if (value("fgpu")) options.fgpu = value("fgpu");
      if (value("cpu")) options.cpu = Number(value("cpu"));
      if (value("memory_gib")) options.memory_mib = Math.round(Number(value("memory_gib")) * 1024);
    }
    const folders = all('input[name="folder"]:checked').map((box) => {
      const folder = { id: box.value };
      for (const name of ["mode", "target", "subpath"]) {
        if (value(`${name}:${box.value}`)) folder[name] = value(`${name}:${box.value}`);
      }
      return folder;
    });
    if (folders.length) options.folders = folders;
    if (value("new_folder")) options.new_folders = [value("new_folder")];
    if (value("count")) options.count = Number(value("count"));
    return options;
  }

  /* The live line. */
  const forecast = byId("launch-forecast");
  let timer = 0;
  let asked = 0;

  function askSoon() {
    clearTimeout(timer);
    forecast.classList.add("launch-stale");
    timer = setTimeout(ask, DEBOUNCE_MS);
  }

  async function ask() {
    const number = ++asked;
    const server = encodeURIComponent(form.dataset.server);
    const user = encodeURIComponent(form.dataset.user);
    let response;
    try {
      response = await fetch(`${hub.base_url || "/hub/"}apportion/dry-run/${user}/${server}`, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-XSRFToken": hub.xsrf_token || "" },
        body: JSON.stringify(launchOptions()),
      });
    } catch {
      if (number === asked) show("secondary", "No answer from the hub; you can start anyway.");
      return;
    }
    if (number !== asked) return;
    const answer = await response.json().catch(() => ({}));
    clearErrors();
    if (response.ok) {
      const reason = answer.reason || {};
      show(answer.starts_now ? "success" : "warning", answer.sentence || "", reason.help || "");
      suggestReclaim(reason.code === "project_quota");
    } else if (answer.error) {
      showError(answer.error);
    } else {
      show("secondary", "No forecast right now; you can start anyway.");
    }
  }

  function show(kind, text, help = "") {
    forecast.hidden = !text;
    forecast.className = `alert alert-${kind}`;
    byId("launch-sentence").textContent = text;
    byId("launch-help").textContent = help;
    suggestReclaim(false);
  }

  /* Over the quota of its project a session gets in only as one that may be reclaimed. */
  function suggestReclaim(would) {
    byId("launch-suggest").hidden = !would || byId("launch-preemptible").checked;
  }

  function linkSuggestion() {
    byId("launch-suggest").addEventListener("click", () => {
      const box = byId("launch-preemptible");
      box.checked = true;
      box.focus();
      box.dispatchEvent(new Event("change", { bubbles: true }));
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
    if (name === "image" && byId("launch-image_by_name")?.value.trim()) name = "image_by_name";
    const place = byId(`launch-${name}-error`);
    show("danger", error.message);
    suggestReclaim(name === "preemptible");
    if (!place) return;
    place.textContent = error.message;
    const folded = place.closest("details");
    if (folded) folded.open = true;
    const seen = name === "image" ? "version" : name;
    const field = byId(`launch-${seen}`);
    if (field) {
      field.classList.add("is-invalid");
      field.setAttribute("aria-invalid", "true");
    }
  }

  function clearErrors() {
    for (const place of all(".invalid-feedback")) place.textContent = "";
    for (const field of all(".is-invalid")) {
      field.classList.remove("is-invalid");
      field.removeAttribute("aria-invalid");
    }
  }

  /* After a refusal the hub shows the page anew: bring back what was typed. */
  const KEY = `apportion-launch:${form.dataset.user}/${form.dataset.server}`;

  function keepOnSubmit() {
    const around = form.closest("form");
    if (!around) return;
    around.addEventListener("submit", () => {
      const values = [...new FormData(around).entries()].filter(
        ([, value]) => typeof value === "string",
      );
      sessionStorage.setItem(KEY, JSON.stringify(values));
    });
  }

  function bringBack() {
    const stored = sessionStorage.getItem(KEY);
    sessionStorage.removeItem(KEY);
    if (!stored || !document.querySelector(".spawn-error-msg")) return;
    const values = JSON.parse(stored);
    for (const box of all('input[type="checkbox"]')) {
      box.checked = values.some(([name, value]) => name === box.name && value === box.value);
    }
    for (const [name, value] of values) {
      for (const field of all("input, select")) {
        if (field.name !== name || ["checkbox", "hidden"].includes(field.type)) continue;
        if (field.type === "radio") field.checked = field.value === value;
        else field.value = value;
      }
    }
  }

  bringBack();
  linkSliders();
  linkPresets();
  linkProject();
  linkSuggestion();
  unfoldWrong();
  keepOnSubmit();
  form.addEventListener("input", askSoon);
  form.addEventListener("change", askSoon);
  ask();
})();
