/* The summary beside the form. Text is only ever set as text. */

import { chosenPreset } from "./launch_options.js";
import { all, byId, form, gib, number, text, value } from "./launch_texts.js";

export function amounts() {
  const preset = chosenPreset();
  if (preset) {
    const { fgpu, cpu, memoryMib } = preset.dataset;
    return { fgpu: Number(fgpu), cpu: Number(cpu), memoryMib: Number(memoryMib) };
  }
  const memoryMib = Math.round(Number(value("memory_gib")) * 1024);
  return { fgpu: Number(value("fgpu")), cpu: Number(value("cpu")), memoryMib };
}

function image() {
  const option = byId("image")?.selectedOptions[0];
  return value("image_by_name") || (option ? option.text.trim() : "");
}

function resources() {
  const { fgpu, cpu, memoryMib } = amounts();
  const memory = Number(form.dataset.gpuMemoryMib) * fgpu;
  const gpu = memory
    ? text("GpuMemory", { fgpu: number(fgpu), memory: gib(Math.floor(memory)) })
    : `${number(fgpu)} fGPU`;
  return [
    chosenPreset()?.nextElementSibling.querySelector(".fw-semibold").textContent.trim(),
    fgpu ? gpu : "",
    text("Resources", { cpu: number(cpu), memory: gib(memoryMib) }),
    fgpu ? text("GpuSimulated") : "",
    byId("preemptible").checked ? text("Reclaimable") : "",
  ];
}

function folders() {
  const chosen = all('input[name="folder"]:checked').map((box) => {
    const mode = form.querySelector(`[name="mode:${CSS.escape(box.value)}"]`);
    return mode?.value === "ro" ? text("ReadOnly", { folder: box.dataset.name }) : box.dataset.name;
  });
  if (value("new_folder")) chosen.push(text("NewFolder", { folder: value("new_folder") }));
  return chosen.length ? chosen : [text("HomeOnly")];
}

function session() {
  const count = Number(value("count"));
  return [value("name"), count > 1 ? text("Sessions", { count: number(count) }) : ""];
}

function start() {
  const chosen = new Date(value("not_before"));
  if (!value("not_before") || Number.isNaN(chosen.getTime())) return "";
  return new Intl.DateTimeFormat(form.lang, { dateStyle: "medium", timeStyle: "short" }).format(chosen);
}

function end() {
  const hours = value("lifetime_h") || byId("lifetime_h").max;
  if (!hours) return "";
  return Number(hours) === 1 ? text("LifetimeHour") : text("LifetimeHours", { hours: number(Number(hours)) });
}

export function summarise() {
  const facts = {
    image: [image()],
    resources: resources(),
    folders: folders(),
    project: [byId("project")?.selectedOptions[0]?.dataset.title],
    session: session(),
    start: [start()],
    end: [end()],
  };
  for (const [name, lines] of Object.entries(facts)) {
    const place = form.querySelector(`[data-fact="${name}"]`);
    const said = lines.filter(Boolean);
    place.replaceChildren(
      ...said.map((line) => Object.assign(document.createElement("div"), { textContent: line })),
    );
    place.hidden = place.previousElementSibling.hidden = !said.length;
  }
  byId("facts").hidden = false;
}
