// Sends the form's row to POST predict, and shows the prediction or every problem at its field.
const data = JSON.parse(document.getElementById("data").textContent);
const form = document.getElementById("form");
const said = document.getElementById("said");
const trouble = document.getElementById("trouble");
const button = document.getElementById("predict");
const token = document.getElementById("token");
const MISSING = null;

/** The body that the shown answer is for; none before the first. */
let answered = null;

const find = (id) => document.getElementById(id);

/** Make an element with classes and text; text is never read as HTML. */
function make(tag, classes = "", ...content) {
  const element = document.createElement(tag);
  element.className = classes;
  element.append(...content);
  return element;
}

function numberOf(input) {
  if (input.validity.badInput) return "";  // the server says what is wrong with a text
  return input.value === "" ? MISSING : Number(input.value);
}

function choiceOf(select, choices, other) {
  if (select.value === "none") return MISSING;
  return select.value === "other" ? other.value : choices[Number(select.value)];
}

/** The value of a field, as JSON has it. */
function valueOf(feature, index) {
  const control = find(`f${index}`);
  if (control.tagName === "SELECT") return choiceOf(control, feature.choices, find(`f${index}-other`));
  if (control.type === "number") return numberOf(control);
  return control.value === "" && control.dataset.nullable ? MISSING : control.value;
}

const body = () => JSON.stringify(Object.fromEntries(data.features.map((feature, i) => [feature.name, valueOf(feature, i)])));

/** 180,934 and 0.2041: the digits that matter. */
function figure(value) {
  const digits = Math.abs(value) >= 1000 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 4 };
  return new Intl.NumberFormat("en", digits).format(value);
}

function percent(share) {
  return new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 1 }).format(share);
}

/** A class as the signature writes it: Python's True is JSON's true. */
function label(value) {
  return typeof value === "boolean" ? (value ? "True" : "False") : String(value);
}

function bars(shares, winner) {
  const list = make("ul", "shares");
  for (const name of data.classes) {
    const bar = make("span", "bar");
    bar.style.inlineSize = `${shares[name] * 100}%`;
    const item = make("li", name === winner ? "first" : "");
    item.append(make("span", "name", name), make("span", "share", percent(shares[name])), make("span", "rail", bar));
    list.append(item);
  }
  return list;
}

function showAnswer(answer) {
  const [value] = answer.predictions;
  const parts = [make("p", "value", typeof value === "number" && !data.classes.length ? figure(value) : label(value))];
  if (answer.probabilities) parts.push(bars(answer.probabilities[0], label(value)));
  if (!data.classes.length) parts.push(make("p", "quiet", `exactly ${value}`));
  if (answer.version !== data.version) {
    parts.push(make("p", "notice", `Version ${answer.version} serves now, and gave this answer. Load the page again to see it.`));
  }
  said.replaceChildren(...parts);
}

function mark(control, line, text) {
  control.setAttribute("aria-invalid", "true");
  line.textContent = text;
  line.hidden = false;
}

/** Where a field's problem belongs: the text beside "other" is asked for, when it is chosen. */
function controlOf(index) {
  const other = find(`f${index}-other`);
  return other && !other.hidden ? other : find(`f${index}`);
}

function summary({ detail, problems, problem_count: count }, general) {
  if (!problems || general.length) return detail;
  return count === 1 ? "1 problem: see the marked field" : `${count} problems: see the marked fields`;
}

function showProblems(problem, id) {
  const general = [];
  for (const found of problem.problems ?? []) {
    const index = data.features.findIndex((feature) => feature.name === found.field);
    if (index < 0) general.push(found.problem);
    else mark(controlOf(index), find(`f${index}-error`), found.problem);
  }
  trouble.append(make("p", "summary", summary(problem, general)));
  for (const text of general) trouble.append(make("p", "", text));
  if (id) trouble.append(make("p", "quiet", `request ${id}`));
  form.querySelector("[aria-invalid]")?.focus();
}

function clear() {
  trouble.replaceChildren();
  for (const line of form.querySelectorAll(".error")) {
    line.textContent = "";  // a description is read out even where it is hidden
    line.hidden = true;
  }
  for (const control of form.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
}

const unreachable = () => ({ status: 0, content: { detail: "The server cannot be reached." } });

async function ask(sent) {
  const headers = { "Content-Type": "application/json" };
  if (token?.value) headers.Authorization = `Bearer ${token.value}`;
  const response = await fetch("predict", { method: "POST", headers, body: sent });
  const content = await response.json().catch(() => ({ detail: `The server answered ${response.status}.` }));
  return { status: response.status, content, id: response.headers.get("X-Request-ID") };
}

function show({ status, content, id }, sent) {
  if (status === 200) {
    answered = sent;
    showAnswer(content);
    find("answer").scrollIntoView({ block: "nearest" });
    return;
  }
  if (status === 401 && token) mark(token, find("token-error"), "This token is not valid here.");
  showProblems(content, id);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  clear();
  button.disabled = true;
  const sent = body();
  const answer = await ask(sent).catch(unreachable);
  button.disabled = false;
  show(answer, sent);
  refresh();
});

/** Show where a number lies in the range of training, and whether it lies outside. */
function place(index) {
  const { minimum, maximum } = data.features[index];
  const field = form.querySelector(`[data-field="${index}"]`);
  const range = field.querySelector(".range");
  if (!range) return;
  const value = numberOf(find(`f${index}`));
  const known = typeof value === "number";
  const outside = known && minimum !== null && (value < minimum || value > maximum);
  const at = maximum > minimum ? Math.min(Math.max((value - minimum) / (maximum - minimum), 0), 1) : 0.5;
  range.classList.toggle("empty", !known);
  range.style.setProperty("--at", known ? at : 0);
  field.classList.toggle("outside", outside);
  const where = field.querySelector(".where");
  where.textContent = outside ? "Outside" : "Training:";
  where.classList.toggle("unseen", !outside);
}

function offerOther(index) {
  const other = find(`f${index}-other`);
  if (other) other.hidden = find(`f${index}`).value !== "other";
}

/** Bring everything that follows from the fields up to date; an answer for another row is dimmed. */
function refresh() {
  said.classList.toggle("stale", answered !== null && answered !== body());
  data.features.forEach((_, index) => {
    offerOther(index);
    place(index);
  });
}

form.addEventListener("input", refresh);
form.addEventListener("change", refresh);
form.addEventListener("reset", () => setTimeout(() => {  // after the browser has put the values back
  clear();
  refresh();
}));
refresh();
