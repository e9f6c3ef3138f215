/* The launch form's images: the family first, then its version, and what is said of the chosen
   one. The select of the page, which has them all and works without this, stays what is sent. */
import { number, text } from "./launch_texts.js";

const sent = document.getElementById("launch-image");
if (sent) offerFamilies();

function offerFamilies() {
  const SEARCH_FROM = 9;
  const about = document.getElementById("launch-image-about");
  const typed = document.getElementById("launch-image_by_name");
  const families = [...sent.querySelectorAll("optgroup")].map((group) => ({
    title: group.label,
    options: [...group.querySelectorAll("option")],
  }));

  const family = addSelect("launch-family", text("Image"));
  const version = addSelect("launch-version", text("Version"));
  if (families.length >= SEARCH_FROM) addSearch();
  sent.closest("[data-launch='single-image']").hidden = true;
  document.getElementById("launch-image-list").hidden = true;
  showFamilies(families);
  choose(sent.value || families[0].options[0].value);

  family.addEventListener("change", () => choose(chosen().options[0].value));
  version.addEventListener("change", () => choose(version.value));
  typed.addEventListener("input", describe);

  function chosen() {
    return families[Number(family.value)];
  }

  function addSelect(id, title) {
    const select = document.createElement("select");
    select.className = "form-select";
    select.id = id;
    select.setAttribute("aria-describedby", "launch-image-about launch-image-error");
    addColumn("col-sm-6", select, title);
    return select;
  }

  function addColumn(width, field, title) {
    const label = document.createElement("label");
    label.className = "form-label";
    label.htmlFor = field.id;
    label.textContent = title;
    const column = document.createElement("div");
    column.className = width;
    column.append(label, field);
    document.getElementById("launch-image-row").append(column);
    return column;
  }

  /* Select what is sent: both selects show it. */
  function choose(reference) {
    sent.value = reference;
    family.value = families.findIndex(({ options }) => options.includes(sent.selectedOptions[0]));
    version.replaceChildren(
      ...chosen().options.map((option) => new Option(option.dataset.version, option.value)),
    );
    version.value = reference;
    describe();
  }

  function showFamilies(found) {
    family.replaceChildren(
      ...found.map((entry) => new Option(entry.title, families.indexOf(entry))),
    );
  }

  /* Text only: labels of images come from strangers. */
  function describe() {
    const name = typed.value.trim();
    const { description, framework, apps, size, needs } = sent.selectedOptions[0].dataset;
    const facts = [
      description.includes(framework) ? "" : framework,
      size,
      needs && text("Needs", { what: needs }),
      apps && text("Apps", { apps }),
    ];
    const lines = name
      ? [text("Typed", { image: name })]
      : [description, facts.filter(Boolean).join(" · ")];
    about.replaceChildren(
      ...lines.filter(Boolean).map((text) => {
        const line = document.createElement("div");
        line.textContent = text;
        return line;
      }),
    );
  }

  /* Many families: a field that leaves those whose texts have all the words. */
  function addSearch() {
    const field = document.createElement("input");
    field.type = "search";
    field.className = "form-control";
    field.id = "launch-image-search";
    field.autocomplete = "off";
    const count = document.createElement("div");
    count.className = "form-text";
    count.setAttribute("role", "status");
    addColumn("col-12", field, text("Search", { count: number(families.length) })).append(count);
    document.getElementById("launch-image-row").prepend(field.parentElement);
    field.addEventListener("input", () => {
      const found = families.filter((entry) => hasWords(entry, field.value));
      const kept = chosen();
      count.textContent = field.value.trim() ? answer(found.length) : "";
      if (!found.length) return;
      showFamilies(found);
      if (found.includes(kept)) choose(sent.value);
      else choose(found[0].options[0].value);
    });
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter") event.preventDefault(); // it would start the session
    });
  }

  function answer(found) {
    if (!found) return text("FoundNone");
    return found === 1 ? text("FoundOne") : text("Found", { count: number(found) });
  }

  function hasWords(entry, words) {
    const said = entry.options.map((option) => [option.text, ...Object.values(option.dataset)]);
    const text = [entry.title, said].flat(2).join(" ").toLowerCase();
    return words.toLowerCase().split(/\s+/).every((word) => text.includes(word));
  }
}
