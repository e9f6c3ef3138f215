// Draws the plots of a page: <figure class="plot"> with its numbers as JSON (see plots.html).
// Each is drawn in a shadow root: a renewed page may replace what is around it, not the drawing.
"use strict";

(() => {
  const language = document.documentElement.lang;
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");
  const charts = new WeakMap(); // of areas: {chart, written}

  // Neighbours differ in lightness too, for the colour-blind; as .colour-0 ... in dashboard.css.
  const COLOURS = ["#0b5fa5", "#d98e1f", "#00906a", "#c9599f", "#46a9cc", "#d9622b",
    "#7d6be0", "#98981f", "#a8458a", "#35a894", "#7d8590"];

  const DAY_S = 86400;
  const formats = (times) => {
    const span = times[times.length - 1] - times[0];
    const step = times.length > 1 ? times[1] - times[0] : 0;
    const date = { month: "short", day: "numeric" };
    const hour = { hour: "2-digit", minute: "2-digit" };
    const short = span <= 2 * DAY_S ? hour : date;
    const full = step < DAY_S ? { ...date, ...hour } : { ...date, year: "numeric" };
    return [short, full].map((format) => new Intl.DateTimeFormat(language, format));
  };

  const labels = (data) => {
    if (!data.times) return { short: data.labels, full: data.labels };
    const [short, full] = formats(data.times)
      .map((format) => data.times.map((time) => format.format(new Date(time * 1000))));
    return { short, full };
  };

  const property = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const dataset = (data, series, place) => {
    const colour = COLOURS[(series.colour ?? place) % COLOURS.length];
    const stacked = data.stacked && !series.line;
    const filled = data.kind === "area" && !series.line;
    return {
      type: data.kind === "bar" && !series.line ? "bar" : "line",
      label: series.label,
      data: series.values,
      stack: stacked ? "all" : `alone-${place}`,
      fill: filled ? (stacked && place ? "-1" : "origin") : false,
      borderColor: colour,
      backgroundColor: `${colour}${filled ? "b0" : "ff"}`,
      borderDash: series.line ? [6, 4] : [],
      borderWidth: series.line ? 2 : 1.5,
      pointStyle: series.line ? "line" : filled ? "rect" : "rectRounded",
      pointRadius: data.kind === "line" && !series.line ? 2 : 0,
      pointHitRadius: 8,
      order: series.line ? 0 : 1,
    };
  };

  const scales = (data, shown) => {
    const ink = property("--bs-body-color");
    const number = new Intl.NumberFormat(language, { maximumFractionDigits: 3 });
    return {
      x: {
        stacked: data.stacked,
        ticks: { color: ink, autoSkip: true, autoSkipPadding: 16, maxRotation: 0,
          callback: (_, index) => shown.short[index] },
        grid: { display: false },
      },
      y: {
        stacked: data.stacked,
        beginAtZero: true,
        ticks: { color: ink, maxTicksLimit: 6, callback: (value) => number.format(value) },
        grid: { color: property("--bs-border-color") },
      },
    };
  };

  const tooltip = (data) => {
    const number = new Intl.NumberFormat(language, { maximumFractionDigits: 2 });
    return {
      filter: (item) => item.parsed.y !== null && (item.parsed.y !== 0 || !data.stacked),
      itemSort: (one, other) => other.parsed.y - one.parsed.y,
      callbacks: {
        label: (item) => `${item.dataset.label}: ${number.format(item.parsed.y)} ${data.unit ?? ""}`,
      },
    };
  };

  const configure = (chart, data) => {
    const shown = labels(data);
    // What the reader has hidden in the legend stays hidden.
    const hidden = new Set(chart.data.datasets.filter((_, place) => !chart.isDatasetVisible(place))
      .map((each) => each.label));
    chart.data.labels = shown.full;
    chart.data.datasets = data.series.map((series, place) => ({
      ...dataset(data, series, place), hidden: hidden.has(series.label),
    }));
    chart.options.locale = language;
    chart.options.scales = scales(data, shown);
    chart.options.plugins.legend.labels.color = property("--bs-body-color");
    chart.options.plugins.legend.display = data.series.length > 1;
    chart.options.plugins.tooltip = { ...chart.options.plugins.tooltip, ...tooltip(data) };
  };

  const make = (area) => {
    const canvas = document.createElement("canvas");
    (area.shadowRoot ?? area.attachShadow({ mode: "open" })).replaceChildren(canvas);
    return new Chart(canvas, {
      type: "line",
      data: { labels: [], datasets: [] },
      options: {
        responsive: true,
        maintainAspectRatio: false,
        animation: still.matches ? false : { duration: 250 },
        interaction: { mode: "index", intersect: false },
        plugins: {
          legend: { position: "bottom", labels: {
            boxHeight: 9, usePointStyle: true, pointStyleWidth: 18,
            sort: (one, other) => one.datasetIndex - other.datasetIndex,
          } },
          tooltip: { boxPadding: 4 },
        },
      },
    });
  };

  const draw = (figure, again) => {
    const area = figure.querySelector(".plot-area");
    const written = figure.querySelector(".plot-data").textContent;
    const known = charts.get(area);
    if (known && known.written === written && !again) return;
    const chart = known?.chart ?? make(area);
    configure(chart, JSON.parse(written));
    chart.update(known ? "none" : undefined);
    charts.set(area, { chart, written });
  };

  const drawAll = (again) => {
    for (const figure of document.querySelectorAll("figure.plot")) draw(figure, again);
  };

  const begin = () => drawAll(false);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
  document.addEventListener("htmx:afterSwap", begin);
  new MutationObserver(() => drawAll(true))
    .observe(document.documentElement, { attributes: true, attributeFilter: ["data-bs-theme"] });
})();
