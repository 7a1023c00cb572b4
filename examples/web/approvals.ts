import { type QuestionAnswers, session } from "castellan";
import { Hono } from "hono";

// #region app
export function createApp(name: string): Hono {
  const app = new Hono();
  app.get("/", (c) => c.html(PAGE));
  app.post("/turns", async (c) => c.json({ id: await session(name).enqueue(await c.req.text()) }));
  app.get("/turns/:id", async (c) => {
    const turn = await session(name).turn(c.req.param("id"));
    return turn?.toResponse({ lastEventId: c.req.header("last-event-id") ?? null }) ?? c.notFound();
  });
  app.post("/approvals/:id", async (c) => {
    const answer: { readonly approve?: boolean; readonly answers?: QuestionAnswers } = await c.req.json();
    const by = c.req.header("x-user") ?? "guest";
    const approval = session(name)
      .approvals()
      .find(({ id }) => id === c.req.param("id"));
    const isFirst =
      answer.answers !== undefined
        ? approval?.answer(answer.answers, { by })
        : answer.approve === true
          ? approval?.approve({ by })
          : approval?.deny("The user does not want this.", { by });
    return c.json({ isFirst: isFirst ?? false });
  });
  return app;
}
// #endregion

// #region page
const PAGE = `<!doctype html>
<form id="ask"><input name="prompt"> <button>Ask</button></form>
<pre id="output"></pre>
<div id="approvals"></div>
<script type="module">
  const [ask, output, approvals] = ["ask", "output", "approvals"].map((id) => document.getElementById(id));

  function follow(id) {
    const events = new EventSource("/turns/" + id);
    const on = (type, show) => events.addEventListener(type, ({ data }) => show(JSON.parse(data)));
    on("text", ({ text }) => output.append(text));
    on("retry", () => output.replaceChildren());
    on("approval_requested", show);
    on("approval_settled", ({ id, outcome, by }) => {
      document.getElementById(id)?.replaceChildren(outcome + (by ? " by " + by : ""));
    });
    on("result", () => events.close());
  }

  // A page that reconnects gets the approvals again.
  function show({ id, tool, title, input, questions = [] }) {
    if (document.getElementById(id)) return;
    const form = Object.assign(document.createElement("form"), { id });
    form.append(questions.length > 0 ? "" : (title ?? "Claude wants to use " + tool) + ": " + JSON.stringify(input));
    for (const { question, options, multiSelect } of questions) {
      const select = Object.assign(document.createElement("select"), { name: question, multiple: multiSelect });
      select.append(...options.map(({ label }) => new Option(label)));
      form.append(question, select);
    }
    form.append(...["Yes", "No"].map((label) => Object.assign(document.createElement("button"), { textContent: label })));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const chosen = [...form.querySelectorAll("select")].map((one) => [
        one.name,
        [...one.selectedOptions].map(({ value }) => value),
      ]);
      const yes = questions.length > 0 ? { answers: Object.fromEntries(chosen) } : { approve: true };
      const answer = event.submitter.textContent === "Yes" ? yes : { approve: false };
      await fetch("/approvals/" + id, { method: "POST", body: JSON.stringify(answer) });
    });
    approvals.append(form);
  }

  ask.addEventListener("submit", async (event) => {
    event.preventDefault();
    output.replaceChildren();
    const response = await fetch("/turns", { method: "POST", body: new FormData(ask).get("prompt") });
    follow((await response.json()).id);
  });
</script>`;
// #endregion
