// The backward sweep through the graph that Python drew, by rules of its own.

// What an operation computes, and what it hands to each operand, given the cotangent g of its result y.
const RULES = {
  add: { forward: (p, q) => p + q, pull: g => [g, g] },
  sub: { forward: (p, q) => p - q, pull: g => [g] }, // of a constant
  mul: { forward: (p, q) => p * q, pull: (g, y, p, q) => [g * q, g * p] },
  tanh: { forward: Math.tanh, pull: (g, y) => [g * (1 - y * y)] },
};
// Which place of the agenda comes next.
const TAKE = {
  newest: agenda => agenda.reduce((best, node, k) => (node.tick > agenda[best].tick ? k : best), 0),
  depth: agenda => agenda.length - 1,
  breadth: () => 0,
};
const PACE = 1400; // milliseconds a step of a run

// The nodes of a scene, in the order of their ticks.
function read(scene) {
  const nodes = all(scene, ".un-node").map((group, k) => ({
    group, tick: k + 1, name: group.dataset.name, op: group.dataset.op, inputs: group.dataset.inputs.split(" "),
  }));
  for (const node of nodes) {
    node.operands = node.op === "leaf" ? [] : node.inputs.map(
      input => nodes.find(other => other.name === input) ?? { data: Number(input), constant: true },
    );
  }
  return nodes;
}

function forward(nodes, leaf) {
  for (const node of nodes) {
    node.data = node.op === "leaf" ? leaf(node.name) : RULES[node.op].forward(...node.operands.map(x => x.data));
  }
}

// Handles every node once, in the order that `take` chooses; returns what each visit did and left behind.
function sweep(nodes, take) {
  const totals = new Map([[nodes.at(-1), 1]]), done = new Set(), visits = [];
  let agenda = [nodes.at(-1)];
  visits.push({ parts: [], totals: new Map(totals), agenda });
  while (agenda.length) {
    const next = take(agenda), node = agenda[next];
    agenda = agenda.filter((_, k) => k !== next);
    if (done.has(node)) continue;
    done.add(node);
    const g = totals.get(node), parts = [];
    if (node.op !== "leaf") {
      RULES[node.op].pull(g, node.data, ...node.operands.map(x => x.data)).forEach((part, k) => {
        const operand = node.operands[k];
        if (operand.constant) return;
        totals.set(operand, (totals.get(operand) ?? 0) + part);
        agenda = [...agenda, operand];
        parts.push({ operand, part, late: done.has(operand) });
      });
    }
    visits.push({ node, g, parts, totals: new Map(totals), agenda: agenda.filter(x => !done.has(x)) });
  }
  return visits;
}

function mount(figure, form) {
  const { back, forward: ahead, run, reset } = form.elements;
  const status = figure.querySelector(".un-status");
  const scenes = Object.fromEntries(all(figure, ".un-scene").map(element => [
    element.dataset.scene,
    { element, nodes: read(element), ledger: element.querySelector("ol"), hand: element.querySelector(".un-hand") },
  ]));
  let scene, nodes, visits, right, timer, step = 0;
  const last = () => visits.length - 1;

  function compute() {
    scene = scenes[form.elements.scene.value];
    nodes = scene.nodes;
    forward(nodes, name => form.elements[`${scene.element.dataset.scene}-${name}`].valueAsNumber);
    visits = sweep(nodes, TAKE[form.elements.order.value]);
    right = sweep(nodes, TAKE.newest);
    for (const part of all(figure, "[data-scene]")) part.hidden = part.dataset.scene !== form.elements.scene.value;
    scene.ledger.append(...visits.slice(1).map(visit => scene.ledger.querySelector(`[data-name="${visit.node.name}"]`)));
  }

  function tell() {
    const { node, g, parts, totals, agenda } = visits[step];
    const root = nodes.at(-1);
    if (!node) {
      return `The forward pass is done: ${root.name} = ${format(root.data)}. Its cotangent is 1, and it is on the agenda.`;
    }
    const told = [`Step ${step} of ${last()}: `];
    const bars = parts.map(({ operand, part }) => `${format(part)} to ${operand.name}\u0304`).join(" and ");
    told.push(parts.length ? `${node.name} hands ${bars}. ` : `${node.name} is a leaf and keeps ${format(g)}. `);
    for (const name of new Set(parts.filter(({ late }) => late).map(({ operand }) => operand.name))) {
      told.push(`Too late: ${name} has been handled already. `);
    }
    if (agenda.length) {
      told.push(`On the agenda: ${[...new Set(agenda)].map(x => `${x.name} (tick ${x.tick})`).join(", ")}.`);
    } else {
      for (const leaf of nodes.filter(x => x.op === "leaf")) {
        const [found, true_] = [totals.get(leaf), right.at(-1).totals.get(leaf)];
        const wrong = Math.abs(found - true_) > 1e-9 ? `, which is wrong: it is ${format(true_)}` : "";
        told.push(`d${root.name}/d${leaf.name} = ${format(found)}${wrong}. `);
      }
    }
    return told.join("").trim();
  }

  function render() {
    const when = new Map(visits.map((visit, k) => [visit.node?.name, k]));
    const state = name => (when.get(name) === step ? "now" : when.get(name) < step ? "past" : "later");
    for (const node of nodes) {
      node.group.dataset.state = { now: "visited", past: "done", later: "waiting" }[state(node.name)];
      write(node.group.querySelector(".un-value"), node.data);
      const total = node.group.querySelector(".un-total");
      const cotangent = visits[step].totals.get(node);
      if (cotangent === undefined) { total.textContent = "–"; delete total.dataset.value; } else write(total, cotangent);
    }
    for (const edge of all(scene.element, ".un-edge")) {
      const { part, late } = visits[when.get(edge.dataset.result)].parts[edge.dataset.k];
      const text = edge.querySelector(".un-part");
      write(text, part);
      if (!text.textContent.startsWith("−")) text.textContent = "+" + text.textContent;
      edge.dataset.state = state(edge.dataset.result);
      edge.toggleAttribute("data-late", late);
    }
    for (const item of scene.ledger.children) {
      const visit = visits[when.get(item.dataset.name)];
      item.dataset.state = state(item.dataset.name);
      write(item.querySelector(".un-total"), visit.g);
      all(item, ".un-part").forEach((element, k) => write(element, visit.parts[k].part));
      all(item, "em").forEach((element, k) => { element.hidden = !visit.parts[k].late; });
    }
    const tick = visits[step].node?.tick ?? nodes.length;
    scene.hand.setAttribute("transform", `translate(0 ${(tick - 1) * scene.hand.dataset.row})`);
    scene.hand.dataset.state = step ? "now" : "later";
    // Not `disabled`, which would take the focus away from a reader at the keyboard.
    for (const button of [back, reset]) button.ariaDisabled = step === 0;
    for (const button of [ahead, run]) button.ariaDisabled = step === last();
    run.textContent = timer ? "pause" : "run";
    status.textContent = tell();
    figure.dataset.step = step;
  }

  function go(to) {
    step = Math.min(Math.max(to, 0), last());
    if (step === last()) stop();
    render();
  }

  function stop() {
    clearInterval(timer);
    timer = undefined;
  }

  function byHand(to) {
    stop();
    go(to);
  }

  function toggle() {
    if (timer) { stop(); render(); return; }
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) { go(last()); return; }
    if (step < last()) timer = setInterval(() => go(step + 1), PACE);
    go(step + 1);
  }

  back.addEventListener("click", () => byHand(step - 1));
  ahead.addEventListener("click", () => byHand(step + 1));
  reset.addEventListener("click", () => byHand(0));
  run.addEventListener("click", toggle);
  figure.querySelector(".un-steps").addEventListener("keydown", event => {
    const to = { ArrowLeft: step - 1, ArrowRight: step + 1, Home: 0, End: last() }[event.key];
    if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    byHand(to);
  });
  form.addEventListener("input", event => {
    if (!form.checkValidity()) {
      stop();
      status.textContent = "A leaf is a number from −3 to 3; the picture keeps the last one.";
      return;
    }
    compute();
    if (event.target.matches("select")) byHand(0); else render();
  });
  if (!form.checkValidity()) form.reset(); // a browser may have kept what was typed before a reload
  compute();
  render();
}
