import { useEffect, useState } from "preact/hooks";
import { html, type View } from "../html.ts";
import { EmptyState } from "./empty-state.ts";

/** A page whose code is loaded when it is first shown, or earlier by `preload`. */
export interface LazyPage<Props> {
  (props: Props): View;
  /** Loads the code. A failure is told when the page is shown. */
  preload(): void;
}

/** Makes a page of a function that loads its code. */
export function lazyPage<Props extends object>(load: () => Promise<(props: Props) => View>): LazyPage<Props> {
  let page: ((props: Props) => View) | undefined;
  let loading: Promise<unknown> | undefined;
  const begin = (): Promise<unknown> => {
    loading ??= load().then(
      (loaded) => {
        page = loaded;
      },
      (error: unknown) => {
        loading = undefined;
        throw error;
      },
    );
    return loading;
  };
  const Lazy = (props: Props): View => {
    const [state, setState] = useState<"loading" | "loaded" | "failed">("loading");
    useEffect(() => {
      if (page === undefined)
        begin().then(
          () => setState("loaded"),
          () => setState("failed"),
        );
    }, []);
    if (page !== undefined) return html`<${page} ...${props} />`;
    if (state === "loading") return html`<p class="quiet loading" role="status">The page is being loaded…</p>`;
    return html`<${EmptyState} icon="cloud" title="This page cannot be loaded" text="The server does not answer, or it has another release by now.">
      <button class="button" type="button" onClick=${() => location.reload()}>Load again</button>
    <//>`;
  };
  return Object.assign(Lazy, { preload: () => void begin().catch(() => {}) });
}
