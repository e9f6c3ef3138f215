/* The launch form and its texts, which the page has in the reader's language. */

export const form = document.getElementById("launch-form");
export const byId = (id) => document.getElementById(`launch-${id}`);
export const all = (selector) => [...form.querySelectorAll(selector)];

const numbers = new Intl.NumberFormat(form.lang, { maximumFractionDigits: 3 });
const percents = new Intl.NumberFormat(form.lang, { style: "percent", maximumFractionDigits: 1 });

export const number = (value) => numbers.format(value);
export const percent = (share) => percents.format(share);

/* A text by its name in data-text-..., with {places} filled in. */
export function text(name, places = {}) {
  return (form.dataset[`text${name}`] || "").replace(/\{(\w+)\}/g, (whole, key) => places[key] ?? whole);
}

export function gib(mib) {
  return mib % 1024 && mib < 1024 ? `${number(mib)} MiB` : `${number(Math.round((mib / 1024) * 100) / 100)} GiB`;
}

/* The trimmed value of a field of that name, "" when it is not there. */
export function value(name) {
  const field = form.querySelector(`[name="${CSS.escape(name)}"]:not([type="hidden"])`);
  return field ? field.value.trim() : "";
}
