import { useEffect, useState } from "preact/hooks";
import { html, type View } from "../html.ts";
import { EmptyState } from "./empty-state.ts";

type Page<Props> = (props: Props) => View;

/** Makes a page whose code is loaded when it is first shown. */
export function lazyPage<Props extends object>(load: () => Promise<Page<Props>>): Page<Props> {
  let page: Page<Props> | undefined;
  return (props) => {
    const [state, setState] = useState<"loading" | "loaded" | "failed">("loading");
    useEffect(() => {
      if (page !== undefined) return;
      load().then(
        (loaded) => {
          page = loaded;
          setState("loaded");
        },
        () => setState("failed"),
      );
    }, []);
    if (page !== undefined) return html`<${page} ...${props} />`;
    if (state === "loading") return html`<p class="quiet loading" role="status">The page is being loaded…</p>`;
    return html`<${EmptyState} icon="cloud" title="This page cannot be loaded" text="The server does not answer, or it has another release by now.">
      <button class="button" type="button" onClick=${() => location.reload()}>Load again</button>
    <//>`;
  };
}
