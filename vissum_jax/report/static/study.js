// The user study. Everything stays in this browser until the participant downloads it; nothing is sent.
"use strict";

const study = JSON.parse(document.getElementById("study").textContent);
const byId = (id) => document.getElementById(id);
const prefix = `vissum-study-${study.study}`;
let state = null; // {participant, position, answers: {question: {nouns, no_idea}}}
let order = [];

// Progress, kept in the browser.

function store(key, value) {
  try {
    localStorage.setItem(`${prefix}:${key}`, JSON.stringify(value));
  } catch {
    say("This browser keeps no progress for this page. Download your answers before you close it.");
  }
}

function stored(key) {
  try {
    return JSON.parse(localStorage.getItem(`${prefix}:${key}`));
  } catch {
    return null; // storage is off (saying so is up to `store`), or holds something else
  }
}

function say(text) {
  byId("trouble").textContent = text;
  byId("trouble").hidden = false;
}

function save() {
  store(`of:${state.participant}`, state);
}

// The order of the questions: each participant's own, the same at every visit.

function seedOf(text) {
  let hash = 2166136261; // FNV-1a
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 16777619);
  return hash >>> 0;
}

function randomFrom(seed) {
  let a = seed; // mulberry32
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function shuffled(items, random) {
  const result = [...items];
  for (let last = result.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [result[last], result[other]] = [result[other], result[last]];
  }
  return result;
}

// Text as an answer may hold it: printable, single spaces.

function clean(text) {
  return text.normalize("NFC").replace(/[\p{Z}\s]+/gu, " ").replace(/\p{C}/gu, "").trim();
}

// Views.

function show(name) {
  for (const section of ["start", "ask", "end"]) byId(section).hidden = section !== name;
  byId("who").textContent = state ? state.participant : "";
  window.scrollTo(0, 0);
}

function enter(participant) {
  const before = stored(`of:${participant}`);
  state = before || { participant, position: 0, answers: {} };
  order = shuffled(study.questions, randomFrom(seedOf(`${study.study} ${participant}`)));
  store("last", participant);
  save();
  go(state.position);
}

function go(position) {
  state.position = Math.max(0, Math.min(position, order.length));
  save();
  if (state.position === order.length) {
    showEnd();
  } else {
    showQuestion();
  }
}

function picture({ file, width, height, x, y, scale }, number, count) {
  const item = document.createElement("li");
  item.className = "tile";
  const frame = document.createElement("span");
  frame.className = "frame";
  const image = document.createElement("img");
  image.src = file;
  image.width = width;
  image.height = height;
  // What report.css shows when the box "zoom" is ticked.
  image.style.setProperty("--x", `${-100 * x}%`);
  image.style.setProperty("--y", `${-100 * y}%`);
  image.style.setProperty("--scale", scale);
  image.alt = `Photograph ${number} of ${count}, its part outlined in red`;
  frame.append(image);
  item.append(frame);
  return item;
}

function showQuestion() {
  const { pictures } = order[state.position];
  byId("where").textContent = `Group ${state.position + 1} of ${order.length}`;
  byId("montage").replaceChildren(...pictures.map((each, row) => picture(each, row + 1, pictures.length)));
  byId("noun").value = "";
  byId("back").disabled = state.position === 0;
  showAnswer();
  show("ask");
  // On a touch screen the field would call the keyboard, which covers the pictures.
  (matchMedia("(pointer: fine)").matches ? byId("noun") : byId("where")).focus({ preventScroll: true });
  const next = order[state.position + 1];
  if (next) for (const { file } of next.pictures) new Image().src = file;
}

function answerNow() {
  return state.answers[order[state.position].id] || { nouns: [], no_idea: false };
}

function showAnswer() {
  const { nouns, no_idea } = answerNow();
  byId("nouns").replaceChildren(
    ...nouns.map((noun) => {
      const item = document.createElement("li");
      const text = document.createElement("bdi");
      text.textContent = noun;
      const remove = document.createElement("button");
      remove.type = "button";
      remove.textContent = "×";
      remove.setAttribute("aria-label", `Remove ${noun}`);
      remove.addEventListener("click", () => {
        setNouns(answerNow().nouns.filter((other) => other !== noun));
        byId("noun").focus();
      });
      item.append(text, remove);
      return item;
    }),
  );
  byId("unknown").setAttribute("aria-pressed", no_idea);
  byId("add").disabled = nouns.length >= study.most_nouns;
  const count = Object.keys(state.answers).length;
  byId("meter").max = order.length;
  byId("meter").value = count;
  byId("answered").textContent = `${count} answered`;
  const given = Object.values(state.answers).flatMap((answer) => answer.nouns);
  byId("suggestions").replaceChildren(
    ...[...new Set([...given, ...study.suggestions])].sort().map((noun) => new Option(noun, noun)),
  );
}

function setAnswer(answer) {
  const { id } = order[state.position];
  if (answer) {
    state.answers[id] = answer;
  } else {
    delete state.answers[id];
  }
  save();
  showAnswer();
}

function setNouns(nouns) {
  setAnswer(nouns.length ? { nouns, no_idea: false } : null);
}

// Takes over what is typed.
function add() {
  const noun = clean(byId("noun").value);
  byId("noun").value = "";
  const { nouns } = answerNow();
  if (!/[\p{L}\p{N}]/u.test(noun) || nouns.length >= study.most_nouns) return;
  if (!nouns.includes(noun)) setNouns([...nouns, noun]);
}

function move(step) {
  add();
  go(state.position + step);
}

function showEnd() {
  const open = order.filter(({ id }) => !state.answers[id]);
  byId("outcome").textContent =
    open.length === 0
      ? `You have answered all ${order.length}. Please download your answers now.`
      : `You have answered ${order.length - open.length} of ${order.length}. Please download your answers now, or go on.`;
  byId("missing").hidden = open.length === 0;
  show("end");
  byId("thanks").focus({ preventScroll: true });
}

function download() {
  const answers = {
    format: study.format,
    version: study.version,
    study: study.study,
    participant: state.participant,
    order: order.map(({ id }) => id),
    answers: state.answers,
  };
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(answers, null, 1)], { type: "application/json" }));
  link.download = `answers-${state.participant.replace(/[^\p{L}\p{N}]+/gu, "-")}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

byId("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  const participant = clean(byId("participant").value);
  if (participant) enter(participant);
});
byId("answer").addEventListener("submit", (event) => {
  event.preventDefault();
  add();
});
byId("noun").addEventListener("keydown", (event) => {
  if (event.target.value || event.isComposing || !state.answers[order[state.position].id]) return;
  if (event.key === "Backspace") setNouns(answerNow().nouns.slice(0, -1));
  if (event.key === "Enter") {
    event.preventDefault();
    move(1);
  }
});
byId("unknown").addEventListener("click", () => {
  setAnswer(answerNow().no_idea ? null : { nouns: [], no_idea: true });
});
byId("back").addEventListener("click", () => move(-1));
byId("next").addEventListener("click", () => move(1));
byId("review").addEventListener("click", () => go(order.length - 1));
byId("missing").addEventListener("click", () => go(order.findIndex(({ id }) => !state.answers[id])));
byId("another").addEventListener("click", () => {
  state = null;
  store("last", null);
  show("start");
  byId("participant").value = "";
  byId("participant").focus();
});
for (const button of document.querySelectorAll("[data-download]")) button.addEventListener("click", download);
document.addEventListener("keydown", (event) => {
  if (byId("ask").hidden) return;
  if (event.key === "PageDown") move(1);
  else if (event.key === "PageUp") move(-1);
  else return;
  event.preventDefault();
});

const last = stored("last");
if (last) {
  enter(last);
} else {
  show("start");
}
