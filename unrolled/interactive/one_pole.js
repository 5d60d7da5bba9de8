// The filter by its own recursion, and its response to waves by its poles. Angles and frequencies in units of pi.

const STEPS = 40, GRID = 200;
const VERDICTS = ["stable", "on the unit circle: it never fades", "unstable: it explodes"];
const CLOSED = "closed: its input weight is 0";

// A real pole is a complex one of angle 0 or 1 whose mirror image is left out: h_t = p h_(t-1) + w x_t, and the output
// is the real part of h. Complex numbers are pairs.
const times = ([a, b], [c, d]) => [a * c - b * d, a * d + b * c];
const over = ([a, b], [c, d]) => [(a * c + b * d) / (c * c + d * d), (b * c - a * d) / (c * c + d * d)];
const mirror = ([a, b]) => [a, -b];

function impulseResponse(pole, weight) {
  const response = [];
  for (let k = 0, h = weight; k <= STEPS; k++, h = times(pole, h)) response.push(h[0]);
  return response;
}

// G(z) = w / (1 - p / z); of a pair, half of that and half of the mirror image's.
function transfer(pole, weight, frequency, pair) {
  const z = [Math.cos(Math.PI * frequency), Math.sin(Math.PI * frequency)];
  const one = (p, w) => { const [a, b] = over(p, z); return over(w, [1 - a, -b]); };
  const [a, b] = one(pole, weight);
  if (!pair) return [a, b];
  const [c, d] = one(mirror(pole), mirror(weight));
  return [(a + c) / 2, (b + d) / 2];
}

// 1, 2 or 5 times a power of ten, the smallest that is not below a number, and 0.1 at least.
function scale(top) {
  for (let k = -1; k < 9; k++) {
    for (const digit of [1, 2, 5]) if (digit * 10 ** k >= top * (1 - 1e-9)) return digit * 10 ** k;
  }
}

function mount(figure, form) {
  const [plane, response, gain, phase] = ["plane", "response", "gain", "phase"].map(name => axes(figure, name));
  const reading = name => figure.querySelector(`[data-name="${name}"]`);
  const value = name => form.elements[name].valueAsNumber;

  function waves(panel, name, frequencies, values, at, read) {
    const shown = values.length > 0;
    // A phase that leaves at -180 degrees and comes back at 180 is not one line.
    const points = values.map((y, k) => [
      frequencies[k], y, k === 0 || (name === "phase" && Math.abs(y - values[k - 1]) > 180) ? "M" : "L",
    ]);
    panel.curve(".un-curve", points);
    panel.svg.querySelector(".un-curve").dataset.values = JSON.stringify(values);
    panel.svg.querySelector(".un-empty").style.display = shown ? "none" : "inline";
    panel.svg.querySelector(".un-probe").style.display = shown ? "inline" : "none";
    if (shown) panel.put(".un-probe", at, read);
  }

  function render() {
    const pair = form.elements.kind.value === "pair";
    const unit = form.elements.weight.value === "one";
    const frequency = value("frequency");
    const [radius, angle] = pair ? [value("radius"), value("angle")] : [Math.abs(value("r")), Number(value("r") < 0)];
    const turn = Math.PI * angle;
    const pole = pair ? [radius * Math.cos(turn), radius * Math.sin(turn)] : [value("r"), 0];
    const weight = unit ? [1, 0] : [1 - pole[0], -pole[1]];
    const stable = radius < 1;

    tellSliders(form);
    for (const row of all(form, ".un-slider")) {
      row.hidden = (row.dataset.kind ?? form.elements.kind.value) !== form.elements.kind.value;
    }

    const point = [Math.cos(Math.PI * frequency), Math.sin(Math.PI * frequency)];
    const poles = pair ? [pole, mirror(pole)] : [pole, pole];
    poles.forEach((p, k) => plane.put(`.un-pole-${k}`, ...p));
    plane.curve(".un-ray", poles.flatMap(p => [[...p, "M"], [...point, "L"]]));
    plane.put(".un-probe", ...point);

    const m = impulseResponse(pole, weight);
    const top = scale(Math.max(...m.map(Math.abs)));
    response.rescale(-top, top);
    response.curve(".un-stems", m.flatMap((y, k) => [[k, 0, "M"], [k, y, "L"]]));
    response.curve(".un-dots", m.flatMap((y, k) => [[k, y, "M"], [k, y, "L"]]));
    response.svg.querySelector(".un-dots").dataset.values = JSON.stringify(m);

    const grid = Array.from({ length: GRID + 1 }, (_, k) => k / GRID).concat(angle).sort((a, b) => a - b);
    const found = stable ? grid.map(f => transfer(pole, weight, f, pair)) : [];
    const read = transfer(pole, weight, frequency, pair);
    const degrees = ([a, b]) => Math.atan2(b, a) * 180 / Math.PI;
    const heights = found.map(g => Math.hypot(...g));
    if (stable) gain.rescale(0, scale(Math.max(...heights)));
    waves(gain, "gain", grid, heights, frequency, Math.hypot(...read));
    waves(phase, "phase", grid, found.map(degrees), frequency, degrees(read));

    const fading = radius > 0 && stable;
    const steps = (name, x, shown, digits) => (shown ? write(reading(name), x, digits, " steps") : blank(reading(name)));
    reading("verdict").textContent = weight.some(x => x !== 0) ? VERDICTS[(radius >= 1) + (radius > 1)] : CLOSED;
    steps("half", Math.LN2 / -Math.log(radius), fading, 2);
    steps("tau", 1 / -Math.log(radius), fading, 2);
    steps("wave", 2 / angle, angle > 0, 1);
    steps("period", 2 / frequency, frequency > 0, 1);
    if (stable) {
      write(reading("gain"), Math.hypot(...read), 4);
      write(reading("phase"), degrees(read), 1, "°");
    } else {
      blank(reading("gain"));
      blank(reading("phase"));
    }
  }

  form.addEventListener("input", render);
  render();
}
