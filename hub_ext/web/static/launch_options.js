/* What the form would send, as the options of a launch request (the server reads the same fields). */

import { all, byId, form, value } from "./launch_texts.js";

const hidden = (name) => form.querySelector(`[name="${CSS.escape(name)}"]`)?.value ?? "";

export function chosenPreset() {
  const preset = form.querySelector('input[name="preset"]:checked');
  return preset && preset.value !== "custom" ? preset : null;
}

export function chosenFolders() {
  return all('input[name="folder"]:checked').map((box) => {
    const folder = { id: box.value };
    for (const name of ["mode", "target", "subpath"]) {
      const given = hidden(`${name}:${box.value}`).trim();
      if (given) folder[name] = given;
    }
    return folder;
  });
}

function ownNumbers() {
  const options = {};
  if (value("fgpu")) options.fgpu = value("fgpu");
  if (value("cpu")) options.cpu = Number(value("cpu"));
  if (value("memory_gib")) options.memory_mib = Math.round(Number(value("memory_gib")) * 1024);
  return options;
}

export function launchOptions() {
  const options = {};
  for (const name of ["image", "name", "project"]) {
    if (value(name)) options[name] = value(name);
  }
  if (value("image_by_name")) options.image = value("image_by_name");
  if (byId("preemptible").checked) {
    options.preemptible = true;
    options.requeue = byId("requeue").checked;
  }
  if (value("priority")) options.priority = Number(value("priority"));
  if (value("lifetime_h")) options.lifetime_s = Math.round(Number(value("lifetime_h")) * 3600);
  if (value("not_before")) options.not_before = new Date(value("not_before")).toISOString();
  const preset = chosenPreset();
  Object.assign(options, preset ? { preset: preset.value } : ownNumbers());
  if (chosenFolders().length) options.folders = chosenFolders();
  if (value("new_folder")) options.new_folders = [value("new_folder")];
  if (value("count")) options.count = Number(value("count"));
  return options;
}
