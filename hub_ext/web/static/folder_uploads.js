// Uploads into a folder that survive a broken connection and a reload. Text is only ever set as text.
"use strict";

(() => {
  const PIECE = 8 * 1024 * 1024;
  const LONGEST_WAIT_MS = 15000;
  const KEY = "apportion-upload:";
  const uploads = new Set();
  let running = null;

  const box = () => document.querySelector(".folder-uploads");
  // Texts in the page's language, with named places.
  const say = (name, places = {}) =>
    (box()?.dataset[`text${name[0].toUpperCase()}${name.slice(1)}`] ?? "").replace(
      /\{(\w+)\}/g, (place, key) => (Object.hasOwn(places, key) ? places[key] : place));
  const number = (value, options) => value.toLocaleString(document.documentElement.lang, options);
  const sizeText = (size) => {
    const units = ["KiB", "MiB", "GiB", "TiB"];
    if (size < 1024) return say("bytes", { number: number(size) });
    let step = -1;
    while (size >= 1024 && step < units.length - 1) [size, step] = [size / 1024, step + 1];
    const digits = { minimumSignificantDigits: 3, maximumSignificantDigits: size < 1000 ? 3 : 4 };
    return `${number(size, digits)} ${units[step]}`;
  };
  const element = (tag, className, text = "") => {
    const made = document.createElement(tag);
    made.className = className;
    made.textContent = text;
    return made;
  };

  class Refused extends Error {
    constructor(status, error) {
      super(error.message || say("refused"));
      this.status = status;
      this.code = error.code;
      this.offset = error.offset;
    }
  }

  /* One request; rejects with Refused for an answer that says no, else with Error: try again. */
  function ask(method, url, { body = null, headers = {}, progress = null, signal = null } = {}) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open(method, url);
      request.setRequestHeader("X-XSRFToken", box()?.dataset.xsrf || "");
      for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
      if (progress) request.upload.addEventListener("progress", (event) => progress(event.loaded));
      signal?.addEventListener("abort", () => request.abort());
      request.addEventListener("abort", () => reject(new DOMException("", "AbortError")));
      request.addEventListener("error", () => reject(new Error("no connection")));
      request.addEventListener("load", () => {
        if (request.status < 300) return resolve(request);
        let error = {};
        try {
          error = JSON.parse(request.responseText).error;
        } catch {
          // a proxy has answered
        }
        const lasting = request.status < 500 && request.status !== 429 && request.status !== 408;
        if (request.status === 401) {
          error = { message: say("login") };
        }
        if (lasting || request.status === 507) return reject(new Refused(request.status, error));
        reject(new Error(error.message || `status ${request.status}`));
      });
      request.send(body);
    });
  }

  const askJson = (method, url, value) =>
    ask(method, url, {
      body: value === undefined ? null : JSON.stringify(value),
      headers: { "Content-Type": "application/json" },
    }).then((request) => (request.responseText ? JSON.parse(request.responseText) : {}));

  class Upload {
    constructor(place, { path, size, id = "", file = null }) {
      Object.assign(this, { place, path, size, id, file, offset: 0, sent: 0, state: "waiting" });
      this.abort = new AbortController();
      this.overwrite = false;
      uploads.add(this);
      this.draw();
    }

    draw() {
      this.place.replaceChildren();
      this.place.dataset.path = this.path;
      const head = element("div", "d-flex flex-wrap align-items-center gap-2");
      head.append(element("span", "me-auto text-break fw-semibold", this.path));
      this.buttons = element("span", "d-inline-flex flex-wrap gap-2");
      head.append(this.buttons);
      const progress = element("div", "progress my-1");
      progress.setAttribute("role", "progressbar");
      progress.setAttribute("aria-label", say("bar", { path: this.path }));
      this.bar = element("div", "progress-bar");
      progress.append(this.bar);
      this.progress = progress;
      this.text = element("small", "upload-text");
      this.place.append(head, progress, this.text);
      this.show();
    }

    button(text, colour, action) {
      const made = element("button", `btn btn-sm btn-outline-${colour}`, text);
      made.type = "button";
      made.setAttribute("aria-label", say("button", { button: text, path: this.path }));
      made.addEventListener("click", action);
      this.buttons.append(made);
    }

    /* The bytes that have left count as sent; only those that have arrived as done. */
    show(note = "", colour = "") {
      const percent = this.size ? Math.min(100, (100 * this.sent) / this.size) : 100;
      this.bar.style.width = `${percent}%`;
      this.bar.className = `progress-bar ${colour ? `bg-${colour}` : ""}`;
      this.progress.setAttribute("aria-valuenow", String(Math.round(percent)));
      const done = say("progress", { done: sizeText(this.sent), total: sizeText(this.size) });
      const words = ["waiting", "paused", "done", "cancelled", "unfinished"].includes(this.state);
      this.text.textContent = [note || (words ? say(this.state) : ""), done].filter(Boolean).join("; ");
      this.text.classList.toggle("text-danger", colour === "danger");
      this.place.dataset.state = this.state;
    }

    set(state, note = "", colour = "") {
      this.state = state;
      this.show(note, colour);
      this.buttons.replaceChildren();
      if (state === "sending" || state === "waiting") this.button(say("pause"), "secondary", () => this.pause());
      if (state === "paused") this.button(say("resume"), "primary", () => this.resume());
      if (state === "exists") {
        this.button(say("replace"), "danger", () => {
          this.overwrite = true;
          this.resume();
        });
      }
      if (state === "failed") this.button(say("again"), "primary", () => this.resume());
      if (state === "unfinished") this.button(say("choose"), "primary", () => this.choose());
      if (state !== "done") this.button(say(this.id ? "discard" : "cancel"), "secondary", () => this.cancel());
    }

    pause() {
      this.set("paused");
      this.abort.abort();
    }

    resume() {
      this.abort = new AbortController();
      this.set("waiting");
      next();
    }

    async cancel() {
      this.set("cancelled");
      this.abort.abort();
      uploads.delete(this);
      this.place.remove();
      if (this.id) {
        localStorage.removeItem(KEY + this.id);
        await askJson("DELETE", box().dataset.upload + this.id).catch(() => {});
      }
      next();
    }

    /* After a reload the page has no file any more: the user points at it again. */
    choose() {
      const input = document.createElement("input");
      input.type = "file";
      input.addEventListener("change", () => this.take(input.files[0]));
      input.click();
    }

    take(file) {
      const begun = localStorage.getItem(KEY + this.id);
      if (file.size !== this.size || (begun && begun !== String(file.lastModified))) {
        this.set("unfinished", say("other"), "danger");
        return;
      }
      this.file = file;
      this.resume();
    }

    async run() {
      this.set("sending");
      let wait = 500;
      while (this.state === "sending") {
        try {
          if (!this.id) await this.begin();
          else if (await this.look()) return this.finished();
          while (this.state === "sending" && this.offset < this.size) {
            await this.send();
            wait = 500;
          }
          if (this.state === "sending") return this.finished();
        } catch (error) {
          if (this.state !== "sending") return;
          if (error instanceof Refused && !this.settle(error)) return;
          if (error instanceof Refused) continue;
          this.sent = this.offset;
          this.show(say("lost"), "warning");
          await this.pauseFor(wait);
          wait = Math.min(2 * wait, LONGEST_WAIT_MS);
        }
      }
    }

    async begin() {
      const made = await askJson("POST", box().dataset.uploads, {
        path: this.path,
        size: this.size,
        overwrite: this.overwrite,
      });
      this.id = made.id;
      this.offset = made.offset;
      localStorage.setItem(KEY + this.id, String(this.file.lastModified));
      this.set("sending");
      if (made.done) this.offset = this.size;
    }

    /* Where the service is. True: it has it all, and said so when nobody heard. */
    async look() {
      try {
        const found = await askJson("GET", box().dataset.upload + this.id);
        this.offset = this.sent = found.offset;
        if (found.offset === found.size) {
          await askJson("POST", `${box().dataset.upload}${this.id}/finish`);
          return true;
        }
        return false;
      } catch (error) {
        const gone = error instanceof Refused && error.status === 404;
        if (!gone || this.lastPiece !== true) throw error;
        const content = `${box().dataset.content}?path=${encodeURIComponent(this.path)}`;
        const file = await ask("HEAD", content);
        if (Number(file.getResponseHeader("Content-Length")) !== this.size) throw error;
        return true;
      }
    }

    async send() {
      const end = Math.min(this.offset + PIECE, this.size);
      this.lastPiece = end === this.size;
      const answer = await ask("PATCH", box().dataset.upload + this.id, {
        body: this.file.slice(this.offset, end),
        headers: {
          "Content-Type": "application/offset+octet-stream",
          "Upload-Offset": String(this.offset),
          "Tus-Resumable": "1.0.0",
        },
        signal: this.abort.signal,
        progress: (loaded) => {
          this.sent = this.offset + loaded;
          this.show();
        },
      });
      this.offset = this.sent = Number(answer.getResponseHeader("Upload-Offset"));
      this.show();
    }

    /* True: go on all the same. */
    settle(error) {
      if (error.code === "wrong_offset") {
        this.offset = this.sent = error.offset;
        return true;
      }
      if (error.status === 404 && this.id) {
        localStorage.removeItem(KEY + this.id);
        this.id = "";
        this.offset = this.sent = 0;
      }
      const exists = error.status === 409 && !this.id;
      this.set(exists ? "exists" : "failed", error.message, "danger");
      return false;
    }

    finished() {
      localStorage.removeItem(KEY + this.id);
      this.id = "";
      this.sent = this.offset = this.size;
      this.set("done", "", "success");
      uploads.delete(this);
      setTimeout(() => this.place.remove(), 8000);
      const files = document.getElementById("files");
      if (files) htmx.trigger(files, "refresh");
    }

    pauseFor(milliseconds) {
      return new Promise((resolve) => {
        const timer = setTimeout(resolve, milliseconds);
        window.addEventListener("online", () => resolve(clearTimeout(timer)), { once: true });
        this.abort.signal.addEventListener("abort", () => resolve(clearTimeout(timer)));
      });
    }
  }

  /* One at a time: the next one starts when this one has ended, however it ended. */
  async function next() {
    if (running) return;
    running = [...uploads].find((upload) => upload.state === "waiting" && upload.file) || null;
    if (!running) return;
    try {
      await running.run();
    } finally {
      running = null;
      next();
    }
  }

  function add(file, path) {
    const known = [...uploads].find((upload) => upload.path === path);
    if (known) {
      if (!known.file && known.size === file.size) known.take(file);
      return;
    }
    const place = element("div", "upload");
    box().append(place);
    const upload = new Upload(place, { path, size: file.size, file });
    upload.set("waiting");
    next();
  }

  const here = () => document.getElementById("files").dataset.path;
  const below = (name) => (here() ? `${here()}/${name}` : name);

  /* A dropped directory comes with all that is in it. */
  async function addEntry(entry, path) {
    if (entry.isFile) {
      add(await new Promise((resolve, reject) => entry.file(resolve, reject)), path);
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const found = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!found.length) return;
      for (const inner of found) await addEntry(inner, `${path}/${inner.name}`);
    }
  }

  function dropped(event) {
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.());
    if (entries.some(Boolean)) {
      for (const entry of entries.filter(Boolean)) addEntry(entry, below(entry.name));
      return;
    }
    for (const file of event.dataTransfer.files) add(file, below(file.name));
  }

  document.addEventListener("change", (event) => {
    if (event.target.id !== "upload-files") return;
    for (const file of event.target.files) add(file, below(file.name));
    event.target.value = "";
  });
  const hasFiles = (event) => box() && [...event.dataTransfer.types].includes("Files");
  const mark = (on) => document.getElementById("files")?.classList.toggle("dropping", on);
  document.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    mark(true);
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) mark(false);
  });
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    mark(false);
    dropped(event);
  });
  window.addEventListener("beforeunload", (event) => {
    if (running) event.preventDefault();
  });

  /* What the page was given: uploads that an earlier page has begun. */
  function begin() {
    document.querySelector(".folder-upload")?.classList.remove("d-none");
    for (const place of document.querySelectorAll(".upload[data-id]:empty")) {
      const { id, path, size } = place.dataset;
      const upload = new Upload(place, { id, path, size: Number(size) });
      upload.set("unfinished");
      askJson("GET", box().dataset.upload + id)
        .then((found) => {
          upload.offset = upload.sent = found.offset;
          if (upload.state === "unfinished") upload.show();
        })
        .catch(() => {});
    }
  }
  document.body.addEventListener("htmx:afterSettle", begin);
  begin();
})();
