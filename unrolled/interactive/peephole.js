// A growing cell and two output gates: one sees the cell, the other only what it lets out itself.

const STEPS = 40;
const sigma = a => 1 / (1 + Math.exp(-a));

function run({ ramp, level, peephole, recurrent, bias }) {
  const cell = [], seeing = [], blind = [];
  for (let t = 0, c = 0, h = 0; t < STEPS; t++) {
    c += ramp;
    const o = sigma(recurrent * h + bias);
    h = o * Math.tanh(c);
    cell.push(c);
    seeing.push(sigma(peephole * c - peephole * level));
    blind.push(o);
  }
  return { cell, seeing, blind };
}

function mount(figure, form) {
  const panels = { cell: axes(figure, "cell"), gates: axes(figure, "gates") };
  const reading = name => figure.querySelector(`[data-name="${name}"]`);

  function line(panel, name, values) {
    panel.curve(`[data-line="${name}"]`, values.map((y, k) => [k + 1, y, k ? "L" : "M"]));
    panel.svg.querySelector(`[data-line="${name}"]`).dataset.values = JSON.stringify(values);
  }

  // A hair less than half open counts, for the sake of rounding.
  function opening(gate, cell, step, level) {
    const k = gate.findIndex(o => o >= 0.5 - 1e-9);
    reading(step).textContent = k < 0 ? "never" : `step ${k + 1}`;
    if (k < 0) blank(reading(level)); else write(reading(level), cell[k], 2);
  }

  function render() {
    tellSliders(form);
    const set = Object.fromEntries([...form.elements].map(input => [input.name, input.valueAsNumber]));
    const { cell, seeing, blind } = run(set);
    panels.cell.curve('[data-line="level"]', [[0, set.level, "M"], [STEPS, set.level, "L"]]);
    line(panels.cell, "cell", cell);
    line(panels.gates, "blind", blind);
    line(panels.gates, "seeing", seeing);
    opening(seeing, cell, "seeing", "seen");
    opening(blind, cell, "blind", "unseen");
    const slope = set.peephole * set.ramp;
    if (slope > 0) write(reading("width"), (2 * Math.log(9)) / slope, 2, " steps"); else blank(reading("width"));
    write(reading("least"), blind[0]);
  }

  form.addEventListener("input", render);
  render();
}
