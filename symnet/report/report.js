"use strict";
(() => {
  const data = JSON.parse(document.getElementById("report-data").textContent);

  // Without a font made for mathematics a browser sets indices on the line itself.
  const index = document.querySelector("msub");
  if (index) {
    const [base, below] = [...index.children].map((each) => each.getBoundingClientRect());
    if (below.bottom - base.bottom < 0.12 * base.height) document.documentElement.classList.add("no-math-font");
  }

  // Lines of the sheet and kernels: one that is pointed at or focused shows its counterparts.
  const linked = [...document.querySelectorAll(".linked")];
  const counterparts = (element) =>
    (element.dataset.links || "").split(" ").filter(Boolean)
      .map((name) => document.getElementById(name)).filter(Boolean);
  const show = (element) => {
    linked.forEach((other) => other.classList.remove("on"));
    if (element) [element, ...counterparts(element)].forEach((each) => each.classList.add("on"));
  };
  const goTo = (element) => {
    const [first] = counterparts(element);
    if (first) first.scrollIntoView({ block: "nearest" });
  };
  for (const element of linked) {
    element.addEventListener("mouseenter", () => show(element));
    element.addEventListener("mouseleave", () => show(document.activeElement.closest(".linked")));
    element.addEventListener("focus", () => { show(element); goTo(element); });
    element.addEventListener("blur", () => show(null));
    element.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.target !== element) return;
      const [first] = counterparts(element);
      if (first) { first.focus({ preventScroll: true }); first.scrollIntoView({ block: "nearest" }); }
    });
  }

  // What is folded is opened for printing, and closed again.
  const opened = [];
  window.addEventListener("beforeprint", () => {
    document.querySelectorAll("details:not([open])").forEach((each) => { each.open = true; opened.push(each); });
  });
  window.addEventListener("afterprint", () => opened.splice(0).forEach((each) => { each.open = false; }));

  const plane = data.plane;
  if (!plane) return;
  const canvas = document.getElementById("plane");
  const slider = document.getElementById("epoch");
  const output = document.getElementById("epoch-text");
  const button = document.getElementById("play");
  const context = canvas.getContext("2d");
  const scheme = window.matchMedia("(prefers-color-scheme: dark)");
  // Paper is white, whatever the screen is.
  const dark = { printing: false, get matches() { return scheme.matches && !this.printing; } };
  const decode = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const maps = plane.maps.map(decode);
  const palette = [[230, 97, 1], [94, 60, 153], [0, 136, 98], [202, 0, 90], [0, 110, 180], [150, 120, 0], [90, 90, 90], [180, 60, 60], [20, 140, 160], [120, 80, 200]];
  const [margin, W, H] = [{ left: 46, top: 10, right: 10, bottom: 30 }, canvas.width, canvas.height];
  const inner = { width: W - margin.left - margin.right, height: H - margin.top - margin.bottom };
  const toX = (x) => margin.left + (x - plane.left[0]) / (plane.right[0] - plane.left[0]) * inner.width;
  const toY = (y) => margin.top + (plane.right[1] - y) / (plane.right[1] - plane.left[1]) * inner.height;

  const colourOf = (value) => {
    const paper = dark.matches ? [21, 23, 26] : [253, 253, 251];
    if (plane.kind === "many") return palette[value % palette.length].map((c, k) => paper[k] + 0.3 * (c - paper[k]));
    const share = (value - 128) / 127;
    const ink = share < 0 ? palette[0] : palette[1];
    return ink.map((c, k) => paper[k] + 0.55 * Math.abs(share) * (c - paper[k]));
  };
  const small = document.createElement("canvas");
  small.width = plane.width;
  small.height = plane.height;
  const field = (map) => {
    const image = small.getContext("2d").createImageData(plane.width, plane.height);
    map.forEach((value, place) => {
      const [r, g, b] = colourOf(value);
      image.data.set([r, g, b, 255], 4 * place);
    });
    small.getContext("2d").putImageData(image, 0, 0);
    context.imageSmoothingEnabled = plane.kind !== "many";
    context.drawImage(small, margin.left, margin.top, inner.width, inner.height);
  };

  // The line on which the score is at the threshold: cell by cell between the grid's points.
  const contour = (level) => {
    const [columns, rows] = [plane.width, plane.height];
    const at = (c, r) => level[r * columns + c];
    const x = (c) => margin.left + (c + 0.5) / columns * inner.width;
    const y = (r) => margin.top + (r + 0.5) / rows * inner.height;
    context.beginPath();
    for (let r = 0; r + 1 < rows; r += 1) {
      for (let c = 0; c + 1 < columns; c += 1) {
        const corners = [[c, r], [c + 1, r], [c + 1, r + 1], [c, r + 1]];
        const crossings = [];
        corners.forEach(([c0, r0], k) => {
          const [c1, r1] = corners[(k + 1) % 4];
          const [a, b] = [at(c0, r0), at(c1, r1)];
          if ((a > 0) !== (b > 0)) {
            const share = a / (a - b);
            crossings.push([x(c0 + share * (c1 - c0)), y(r0 + share * (r1 - r0))]);
          }
        });
        for (let k = 0; k + 1 < crossings.length; k += 2) {
          context.moveTo(...crossings[k]);
          context.lineTo(...crossings[k + 1]);
        }
      }
    }
    context.stroke();
  };
  const contours = (map) => {
    context.lineWidth = 2.2;
    context.strokeStyle = dark.matches ? "#f2f2ee" : "#111";
    if (plane.kind === "two") contour(Float32Array.from(map, (value) => value - 128));
    if (plane.kind === "many") {
      for (let k = 0; k < plane.classes; k += 1) contour(Float32Array.from(map, (value) => (value === k ? 1 : -1)));
    }
  };

  const marks = ["circle", "triangle", "square", "diamond"];
  const mark = (pen, kind, x, y, size) => {
    pen.beginPath();
    if (kind === "circle") pen.arc(x, y, size, 0, 2 * Math.PI);
    if (kind === "triangle") { pen.moveTo(x, y - 1.2 * size); pen.lineTo(x + 1.1 * size, y + 0.8 * size); pen.lineTo(x - 1.1 * size, y + 0.8 * size); pen.closePath(); }
    if (kind === "square") pen.rect(x - 0.9 * size, y - 0.9 * size, 1.8 * size, 1.8 * size);
    if (kind === "diamond") { pen.moveTo(x, y - 1.3 * size); pen.lineTo(x + 1.3 * size, y); pen.lineTo(x, y + 1.3 * size); pen.lineTo(x - 1.3 * size, y); pen.closePath(); }
  };
  const classOf = (label) => (plane.kind === "two" ? Number(label === plane.high) : label);
  const points = () => {
    plane.points.forEach(([x, y], place) => {
      const label = plane.labels[place];
      let [kind, colour] = ["circle", null];
      if (plane.kind === "number") {
        colour = colourOf(1 + 254 * (label - plane.low) / (plane.high - plane.low || 1));
      } else {
        kind = marks[classOf(label) % marks.length];
        colour = palette[classOf(label) % palette.length];
      }
      mark(context, kind, toX(x), toY(y), 4.2);
      if (dark.matches && plane.kind !== "number") colour = colour.map((c) => c + 0.45 * (255 - c));
      context.fillStyle = `rgb(${colour.map(Math.round).join(" ")})`;
      context.fill();
      context.lineWidth = 1;
      context.strokeStyle = dark.matches ? "#15171a" : "#fff";
      context.stroke();
    });
  };
  const steps = (low, high) => {
    const rough = (high - low) / 5;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((k) => k * power).find((k) => k >= rough);
    const found = [];
    for (let k = Math.ceil(low / step); k * step <= high; k += 1) found.push(Number((k * step).toPrecision(6)));
    return found;
  };
  const axes = () => {
    context.fillStyle = dark.matches ? "#e6e6e1" : "#1c1f24";
    context.font = "13px system-ui, sans-serif";
    context.textAlign = "center";
    steps(plane.left[0], plane.right[0]).forEach((x) => context.fillText(x, toX(x), H - 10));
    context.textAlign = "right";
    steps(plane.left[1], plane.right[1]).forEach((y) => context.fillText(y, margin.left - 8, toY(y) + 4));
  };
  const draw = () => {
    const place = Number(slider.value);
    context.clearRect(0, 0, W, H);
    field(maps[place]);
    context.save();
    context.beginPath();
    context.rect(margin.left, margin.top, inner.width, inner.height);
    context.clip();
    contours(maps[place]);
    points();
    context.restore();
    axes();
    output.textContent = plane.texts[place];
    slider.setAttribute("aria-valuetext", plane.texts[place]);
  };

  let timer = null;
  const stop = () => { clearInterval(timer); timer = null; button.textContent = "play"; };
  button.addEventListener("click", () => {
    if (timer) { stop(); return; }
    if (Number(slider.value) === maps.length - 1) slider.value = 0;
    button.textContent = "pause";
    timer = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      draw();
      if (Number(slider.value) === maps.length - 1) stop();
    }, 80);
  });
  slider.addEventListener("input", () => { if (timer) stop(); draw(); });
  scheme.addEventListener("change", draw);
  for (const [name, printing] of [["beforeprint", true], ["afterprint", false]]) {
    window.addEventListener(name, () => { dark.printing = printing; draw(); });
  }
  draw();
})();
