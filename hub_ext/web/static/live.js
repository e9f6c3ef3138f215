// Keeps a page up to date: one event stream a visible page, whose events name what has changed.
// Parts of the page that show a topic carry it in data-live and ask again on the event "live".
"use strict";

(() => {
  const RETRY_MS = 3000;
  let stream = null;
  let retry = null;
  let lost = false;
  let shown = null;

  // What the reader has opened, ticked or typed stays as it is when a part is renewed; what he
  // has not touched follows the service. What is on its way stays marked as that.
  const renewed = new WeakSet();
  const changed = {
    value: (element) => "defaultValue" in element && element.value !== element.defaultValue,
    checked: (element) => element.checked !== element.defaultChecked,
    selected: (element) => {
      const choice = element.closest("select");
      if (!choice || choice.multiple) return element.selected !== element.defaultSelected;
      const options = [...choice.options];
      const given = options.findLastIndex((option) => option.defaultSelected);
      return !options[Math.max(given, 0)]?.selected;
    },
    open: (element) => element.tagName === "DETAILS",
    class: (element) => element.classList.contains("htmx-request"),
    disabled: (element) => element.hasAttribute("data-disabled-by-htmx"),
    "data-disabled-by-htmx": () => true,
  };
  const his = (name, element) => Object.hasOwn(changed, name) && changed[name](element);
  Object.assign(Idiomorph.defaults, { ignoreActiveValue: true });
  Object.assign(Idiomorph.defaults.callbacks, {
    // Asked once for the attribute and then for what shows: the first answer holds for both.
    beforeAttributeUpdated: (name, element) => {
      if (renewed.has(element) && name !== "open") return true;
      if (his(name, element)) return false;
      if (name === "value" || name === "checked") renewed.add(element);
      return true;
    },
    afterNodeMorphed: (element) => renewed.delete(element),
  });

  const parts = (topics) =>
    [...document.querySelectorAll("[data-live]")].filter((part) =>
      topics === null || part.dataset.live.split(" ").some((topic) => topics.includes(topic)));

  // At once, then at most once in a while, and always after the last change: htmx's own throttle
  // forgets what happens meanwhile. A part says with data-pause (ms) that it wants to be asked
  // for less often.
  const PAUSE_MS = 700;
  const asked = new WeakMap();
  const due = new WeakSet();
  const ask = (part) => {
    if (due.has(part)) return;
    due.add(part);
    const passed = performance.now() - (asked.get(part) ?? -Infinity);
    setTimeout(() => {
      due.delete(part);
      asked.set(part, performance.now());
      if (part.isConnected) htmx.trigger(part, "live");
    }, Math.max(0, Number(part.dataset.pause ?? PAUSE_MS) - passed));
  };

  const refresh = (topics) => {
    for (const part of parts(topics)) ask(part);
  };

  const close = () => {
    clearTimeout(retry);
    stream?.close();
    stream = null;
  };

  // A browser opens six connections to a host: pages that nobody sees give theirs back.
  const open = () => {
    close();
    const { liveUrl, topics } = document.getElementById("main").dataset;
    shown = topics;
    if (!topics || document.hidden) return;
    stream = new EventSource(`${liveUrl}&topics=${encodeURIComponent(topics)}`);
    stream.addEventListener("open", () => {
      if (lost) problem("");
      lost = false;
      refresh(null); // whatever has happened while nobody listened
    });
    stream.addEventListener("changed", (event) => refresh(JSON.parse(event.data)));
    stream.addEventListener("error", () => {
      lost = true;
      if (stream?.readyState !== EventSource.CLOSED) return; // it tries again by itself
      retry = setTimeout(open, RETRY_MS);
    });
  };

  // What nobody sees is not asked for; it is as soon as somebody looks.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (document.hidden && event.detail.elt.matches("[data-live]")) event.preventDefault();
  });
  document.addEventListener("DOMContentLoaded", open);
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  // From the browser's own cache of pages ("back"), where streams are cut.
  window.addEventListener("pageshow", (event) => { if (event.persisted) open(); });
  // hx-boost swaps the body in place: the new page may have other topics.
  document.addEventListener("htmx:afterSettle", () => {
    if (document.getElementById("main").dataset.topics !== shown) open();
  });
})();
