// A memory cell run forward, and its derivatives by hand.

const STEPS = 20;
const GATES = ["i_write", "i_hold", "loop", "o_hold", "o_read"];

function run(pulse, distractors, [iWrite, iHold, loop, oHold, oRead]) {
  const x = [pulse, ...distractors], z = x.map(Math.tanh);
  const i = x.map((_, k) => (k ? iHold : iWrite)), o = x.map((_, k) => (k < STEPS - 1 ? oHold : oRead));
  const c = [];
  z.forEach((z_t, k) => c.push((k ? loop * c[k - 1] : 0) + i[k] * z_t));
  const h = c.map((c_t, k) => o[k] * Math.tanh(c_t));
  // From the last cell to an earlier one there is one way, the self-loop.
  const carried = x.map((_, k) => loop ** (STEPS - 1 - k));
  const reached = carried.map((g, k) => g * i[k] * (1 - z[k] * z[k]));
  const answer = oRead * (1 - Math.tanh(c.at(-1)) ** 2) * reached[0];
  return { x, z, i, o, loop: x.map(() => loop), c, h, carried, reached, answer };
}

function mount(figure, form) {
  const panels = Object.fromEntries(["inputs", "gates", "cell", "gradients"].map(name => [name, axes(figure, name)]));
  const reading = name => figure.querySelector(`[data-name="${name}"]`);
  const value = name => form.elements[name].valueAsNumber;
  const scene = form.elements.scene, scenes = JSON.parse(form.dataset.scenes);
  const distractors = JSON.parse(form.dataset.distractors);

  function draw(panel, selector, values, points) {
    panel.curve(selector, values.flatMap(points));
    panel.svg.querySelector(selector).dataset.values = JSON.stringify(values);
  }
  function stems(panel, values) {
    draw(panel, ".un-stems", values, (y, k) => [[k + 1, 0, "M"], [k + 1, y, "L"]]);
    draw(panel, ".un-dots", values, (y, k) => [[k + 1, y, "M"], [k + 1, y, "L"]]);
  }
  // Ten wide, in the picture's own units.
  function dashes(panel, name, values) {
    const line = panel.svg.querySelector(`[data-line="${name}"]`);
    line.setAttribute("d", values.map((y, k) => `M${panel.at(k + 1, y).map(p => p.toFixed(1)).join(" ")}h10`).join(""));
    line.dataset.values = JSON.stringify(values);
  }

  function render() {
    tellSliders(form);
    const gates = GATES.map(value);
    const known = scenes.findIndex(held => held.every((x, k) => x === gates[k]));
    scene.selectedIndex = known < 0 ? scenes.length : known;
    const found = run(value("pulse"), distractors.map(x => value("distractors") * x), gates);
    stems(panels.inputs, found.z);
    dashes(panels.inputs, "x", found.x);
    for (const [name, base] of [["i", 2.7], ["loop", 1.35], ["o", 0]]) {
      draw(panels.gates, `[data-line="${name}"]`, found[name], (y, k) => [[k + 1, base, "M"], [k + 1, base + y, "L"]]);
    }
    stems(panels.cell, found.c);
    dashes(panels.cell, "h", found.h);
    stems(panels.gradients, found.reached);
    dashes(panels.gradients, "carried", found.carried);

    const written = found.carried[0] * found.i[0] * found.z[0];
    write(reading("c"), found.c.at(-1));
    write(reading("written"), written);
    write(reading("noise"), found.c.at(-1) - written);
    write(reading("h"), found.h.at(-1));
    write(reading("carried"), found.carried[0]);
    write(reading("answer"), found.answer);
  }

  form.addEventListener("input", event => {
    if (event.target === scene && scene.selectedIndex < scenes.length) {
      GATES.forEach((name, k) => { form.elements[name].value = scenes[scene.selectedIndex][k]; });
    }
    render();
  });
  render();
}
