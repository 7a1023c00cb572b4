// #region page
/** Shows an answer while Claude writes it. */
export function follow(id: string, output: HTMLElement): void {
  output.replaceChildren();
  const events = new EventSource(`/turns/${id}`);
  events.addEventListener("text", ({ data }) => output.append(JSON.parse(data).text));
  events.addEventListener("retry", () => output.replaceChildren());
  events.addEventListener("lost", () => output.append("[…]"));
  events.addEventListener("result", () => events.close());
  events.addEventListener("error", (event) => {
    if (event instanceof MessageEvent)
      events.close(); // the turn has failed; the others are lost connections
    // Browsers give up when a server answers with an error, as a proxy does while the application is restarted.
    else if (events.readyState === EventSource.CLOSED) setTimeout(follow, 1_000, id, output);
  });
}

export async function ask(prompt: string, output: HTMLElement): Promise<void> {
  const response = await fetch("/turns", { method: "POST", body: prompt });
  const { id } = await response.json();
  follow(id, output);
}
// #endregion
