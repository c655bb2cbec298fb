// Draws the figures of the report with plotly.js, in the page's colours, with switches that a keyboard reaches.
"use strict";
(async () => {
  const root = document.documentElement;
  // Figures and plotly.js are kept compressed: base64 of gzip.
  const unpacked = (id) => {
    const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (c) => c.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  };
  if (typeof DecompressionStream === "undefined") {
    document.getElementById("too-old").hidden = false;
    return;
  }
  const plotly = document.createElement("script");
  plotly.textContent = await unpacked("plotly-js");
  document.head.append(plotly);
  const figures = JSON.parse(await unpacked("figures-data"));
  const NARROW = 640, PRINT_WIDTH = 680;
  let printing = false;

  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const numbers = (packed) => {
    if (Array.isArray(packed) || ArrayBuffer.isView(packed)) return Array.from(packed);
    const bytes = Uint8Array.from(atob(packed.bdata), (c) => c.charCodeAt(0));
    return Array.from(new Float32Array(bytes.buffer));
  };
  const decode = (trace) => {
    trace.x = numbers(trace.x);
    trace.y = numbers(trace.y);
    for (const key of ["error_x", "error_y"]) {
      if (!trace[key]) continue;
      trace[key].array = numbers(trace[key].array);
      trace[key].arrayminus = numbers(trace[key].arrayminus);
    }
  };

  // "ink" stands for the text colour of the page as it is now.
  const inked = (value, ink) =>
    Array.isArray(value) ? value.map((v) => (v && typeof v === "object" ? inked(v, ink) : v))
    : value && typeof value === "object"
      ? Object.fromEntries(Object.entries(value).map(([k, v]) => [k, inked(v, ink)]))
      : value === "ink" ? ink : value;

  function layoutOf(name, plot) {
    const figure = figures[name];
    const width = printing ? PRINT_WIDTH : plot.clientWidth;
    const ink = colour("--ink"), line = colour("--line");
    const layout = inked(width < NARROW ? figure.narrow : figure.layout, ink);
    Object.assign(layout, {
      width, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest",
      font: { color: ink, size: printing ? 9 : 12, family: "system-ui, 'DejaVu Sans', sans-serif" },
      margin: { l: 58, r: figure.data.some((trace) => trace.showscale) ? 84 : 12, t: 12, b: 46 },
      hoverlabel: { bgcolor: colour("--panel"), bordercolor: line, font: { color: ink } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("--soft"), activecolor: ink },
    });
    for (const key of Object.keys(layout)) {
      if (!/^[xy]axis/.test(key)) continue;
      Object.assign(layout[key], { gridcolor: line, zeroline: false, linecolor: ink, ticks: "outside", tickcolor: line });
      if (figure.log[key[0]] !== undefined && !layout[key].tickvals) {
        layout[key].type = figure.log[key[0]] ? "log" : "linear";
      }
    }
    return layout;
  }
  const shown = (figure, trace) =>
    !Object.entries(trace.meta).some(([tag, value]) => figure.hidden.has(tag + "\n" + value));
  const tracesOf = (figure) => {
    const ink = colour("--ink");
    return figure.data.map((trace) => ({ ...inked({ ...trace, meta: null, x: null, y: null, text: null }, ink),
      x: trace.x, y: trace.y, text: trace.text, meta: trace.meta, visible: shown(figure, trace) }));
  };
  const CONFIG = { displaylogo: false, responsive: false, scrollZoom: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"], toImageButtonOptions: { format: "svg" } };

  function draw(name) {
    const plot = document.getElementById("plot-" + name);
    const figure = figures[name];
    return Plotly.react(plot, tracesOf(figure), layoutOf(name, plot), CONFIG);
  }

  function button(text, act, pressed) {
    const made = document.createElement("button");
    made.type = "button";
    made.append(text);
    if (pressed !== undefined) made.setAttribute("aria-pressed", String(pressed));
    made.addEventListener("click", () => act(made));
    return made;
  }

  function swatchOf(figure, tag, value) {
    const colours = new Set(figure.data.filter((t) => t.meta[tag] === value && t.line && t.line.color)
      .map((t) => t.line.color));
    return colours.size === 1 ? [...colours][0] : null;
  }

  function buildTools(name) {
    const figure = figures[name];
    const tools = document.querySelector(`#figure-${name} .tools`);
    figure.hidden = new Set(figure.off.map(([tag, value]) => tag + "\n" + value));
    figure.log = {};
    const values = {};
    for (const trace of figure.data) {
      for (const [tag, value] of Object.entries(trace.meta)) (values[tag] ??= new Set()).add(value);
    }
    for (const [tag, found] of Object.entries(values)) {
      if (found.size < 2 && ![...found].some((v) => figure.hidden.has(tag + "\n" + v))) continue;
      const label = document.createElement("span");
      label.className = "name";
      label.textContent = tag;
      tools.append(label);
      for (const value of found) {
        const key = tag + "\n" + value;
        const chip = button(value, (me) => {
          if (figure.hidden.has(key)) figure.hidden.delete(key); else figure.hidden.add(key);
          me.setAttribute("aria-pressed", String(!figure.hidden.has(key)));
          draw(name);
        }, !figure.hidden.has(key));
        chip.className = "switch";
        const swatch = swatchOf(figure, tag, value);
        if (swatch) {
          const dot = document.createElement("span");
          dot.className = "swatch";
          dot.style.background = swatch === "ink" ? "currentColor" : swatch;
          chip.prepend(dot);
        }
        tools.append(chip);
      }
    }
    const first = document.getElementById("figure-" + name).classList.contains("glance");  // keep it simple
    const axes = document.createElement("span");
    axes.className = "name";
    axes.textContent = "view";
    if (!first) tools.append(axes);
    const rows = Object.entries(figure.layout).some(([key, value]) => /^yaxis/.test(key) && value.tickvals);
    for (const letter of first ? [] : rows ? ["x"] : ["x", "y"]) {
      const kept = Object.entries(figure.layout).filter(([key]) => key.startsWith(letter + "axis"));
      if (kept.every(([, value]) => value.tickvals)) continue;
      const start = kept[0][1].type === "log";
      tools.append(button("log " + letter, (me) => {
        figure.log[letter] = !(figure.log[letter] ?? start);
        me.setAttribute("aria-pressed", String(figure.log[letter]));
        draw(name);
      }, start));
    }
    if (!first) tools.append(button("reset", () => {
      figure.log = {};
      figure.hidden = new Set(figure.off.map(([tag, value]) => tag + "\n" + value));
      tools.replaceChildren();
      buildTools(name);
      Plotly.purge(document.getElementById("plot-" + name));
      draw(name);
    }));
    tools.append(button("CSV", () => download(name + ".csv", figureRows(name))));
  }

  // --- tables as CSV -------------------------------------------------------------------------------------------------

  // A spreadsheet takes text that begins like this for a formula; numbers stay numbers.
  const harmless = (text) => (/^[=+\-@\t\r]/.test(text) && !(text.trim() === text && isFinite(text)) ? "'" + text : text);
  const quoted = (value) => {
    const text = harmless(String(value));
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const known = (value) => typeof value === "number" && Number.isFinite(value);
  const seven = (value) => (known(value) ? String(Number(value.toPrecision(7))) : "");
  function figureRows(name) {
    const figure = figures[name];
    const tags = [...new Set(figure.data.flatMap((trace) => Object.keys(trace.meta)))];
    const cells = figure.data.some((trace) => trace.customdata);  // [value, low, high] of each
    const rows = [["panel", "series", ...tags, "x", "y", "low", "high", ...(cells ? ["value"] : [])]];
    figure.data.forEach((trace, place) => {
      if (trace.fill === "toself" || trace.type === "heatmap") return;
      const error = trace.error_y || trace.error_x;
      const value = trace.error_x ? trace.x : trace.y;
      const index = (parseInt(trace.xaxis.slice(1), 10) || 1) - 1;
      const names = figure.rows[index];
      // A line's interval is the band before it: its upper edge forwards, then its lower edge backwards.
      const band = place > 0 && figure.data[place - 1].fill === "toself" ? figure.data[place - 1].y : null;
      // Where nothing was measured there is no value, and no interval where one of its ends is missing.
      const bar = (i, sign, lengths) => (known(value[i]) && known(lengths[i]) ? seven(value[i] + sign * lengths[i]) : "");
      const low = (i) => (trace.customdata ? seven(trace.customdata[i][1]) : error ? bar(i, -1, error.arrayminus) : band ? seven(band[band.length - 1 - i]) : "");
      const high = (i) => (trace.customdata ? seven(trace.customdata[i][2]) : error ? bar(i, 1, error.array) : band ? seven(band[i]) : "");
      trace.x.forEach((x, i) => rows.push([figure.titles[index], trace.name,
        ...tags.map((tag) => trace.meta[tag] ?? ""), seven(x), names.length ? names[trace.y[i]] : seven(trace.y[i]),
        low(i), high(i), ...(cells ? [trace.customdata ? seven(trace.customdata[i][0]) : ""] : [])]));
    });
    return rows;
  }
  function download(file, rows) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([rows.map((row) => row.map(quoted).join(",")).join("\n") + "\n"],
      { type: "text/csv" }));
    link.download = file;
    link.click();
    // A busy browser starts the download late, and one whose URL is gone never starts.
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }
  for (const made of document.querySelectorAll("button[data-csv]")) {
    made.addEventListener("click", () => {
      const table = document.getElementById(made.dataset.csv);
      download(made.dataset.csv + ".csv",
        [...table.rows].map((row) => [...row.cells].map((cell) => cell.dataset.value ?? cell.textContent.trim())));
    });
  }

  // --- theme, size, print --------------------------------------------------------------------------------------------

  const redraw = () => Object.keys(figures).forEach(draw);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const themeButton = document.getElementById("theme");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const showTheme = () => { themeButton.textContent = isDark() ? "light page" : "dark page"; };
  themeButton.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    showTheme();
    redraw();
  });
  dark.addEventListener("change", () => { showTheme(); redraw(); });
  showTheme();

  let waiting;
  let width = innerWidth;
  addEventListener("resize", () => {
    if (printing || innerWidth === width) return;
    width = innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(redraw, 150);
  });
  const setPrinting = (on) => {
    if (printing === on) return;
    printing = on;
    redraw();
  };
  addEventListener("beforeprint", () => setPrinting(true));
  addEventListener("afterprint", () => setPrinting(false));
  matchMedia("print").addEventListener("change", (event) => setPrinting(event.matches));

  // One figure at a time, so that the page answers meanwhile; data-drawn says when all are there.
  const names = Object.keys(figures);
  for (const name of names) figures[name].data.forEach(decode);
  names.forEach(buildTools);
  const next = (index) => {
    if (index === names.length) root.dataset.drawn = String(index);
    else draw(names[index]).then(() => setTimeout(next, 0, index + 1));
  };
  next(0);
})();
