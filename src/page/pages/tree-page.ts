import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { html, type View } from "../html.ts";
import { EmptyState } from "../parts/empty-state.ts";
import { NotRead } from "../parts/not-read.ts";
import { SearchBox } from "../parts/search-box.ts";
import { TreeDetails } from "../parts/tree-details.ts";
import { TreeView } from "../parts/tree-view.ts";
import type { PageContext } from "../store/page-context.ts";
import type { ServerLink } from "../store/server-link.ts";
import { TreeFeed } from "../store/tree-feed.ts";
import { itemOfId, treeItems } from "../store/tree-item.ts";
import { treeRows } from "../store/tree-rows.ts";

/** How often the tree is read without a change that the page hears of, such as that of a worker. */
const REFRESH_MS = 5_000;

/** The supervision tree: who restarts whom, and what has failed. */
export function TreePage({ context }: { readonly context: PageContext }): View {
  const { fleet, link, navigation } = context;
  const feed = useMemo(() => new TreeFeed(link), []);
  const chosen = useSignal<ReadonlyMap<string, boolean>>(new Map());
  const { query } = navigation.place.value;
  const { text, active } = useMemo(() => {
    const read = new URLSearchParams(query);
    return { text: read.get("q") ?? "", active: read.get("child") ?? "" };
  }, [query]);
  useEffect(() => {
    void feed.read();
    const again = setInterval(() => {
      if (document.visibilityState === "visible" && link.state.peek() !== "lost") feed.touch();
    }, REFRESH_MS);
    return () => {
      clearInterval(again);
      feed.stop();
    };
  }, []);
  useSignalEffect(() => {
    if (fleet.rows.value.size >= 0 && link.state.value !== "lost") feed.touch();
  });
  const { value: tree } = feed.tree;
  const { value: children } = feed.children;
  const rows = fleet.rows.value;
  const root = useMemo(() => {
    return tree === undefined || children === undefined ? undefined : treeItems(tree, children, rows);
  }, [tree, children, rows]);
  const folds = chosen.value;
  const shown = useMemo(() => (root === undefined ? [] : treeRows(root, folds, text)), [root, folds, text]);
  const change = (changes: { readonly q?: string; readonly child?: string }): void => {
    const next = new URLSearchParams(
      Object.entries({ q: text, child: active, ...changes }).filter(([, value]) => value !== ""),
    );
    navigation.go("/tree", next.size === 0 ? "" : `?${next}`, { replace: true });
  };
  if (root === undefined) {
    return html`<h1 tabindex="-1" class="unseen">Tree</h1><${NoTree} failure=${feed.failure.value} link=${link} />`;
  }
  const selected = itemOfId(root, active) ?? root;
  return html`
    <div class="page-head">
      <h1 tabindex="-1">Tree</h1>
      <${SearchBox} main text=${text} placeholder="Search names and states" label="Search names, kinds and states" change=${(q: string) => change({ q })} />
    </div>
    <div class="tree-page">
      ${
        shown.length > 0
          ? html`<div class="tree-box">
              <${TreeView}
                context=${context}
                rows=${shown}
                active=${selected.id}
                go=${(id: string) => change({ child: id })}
                fold=${(id: string, expanded: boolean) => {
                  chosen.value = new Map(chosen.peek()).set(id, expanded);
                }}
              />
            </div>`
          : html`<${EmptyState} icon="search" title="Nothing matches" text="Names, kinds and states are searched.">
              <button class="button" type="button" onClick=${() => change({ q: "" })}>Show the whole tree</button>
            <//>`
      }
      <${TreeDetails}
        context=${context}
        feed=${feed}
        item=${selected}
        chosen=${selected.id === active}
        close=${() => change({ child: "" })}
      />
    </div>
  `;
}

function NoTree({
  failure,
  link,
}: {
  readonly failure: "reach" | "failed" | undefined;
  readonly link: ServerLink;
}): View {
  if (failure === "reach") {
    return html`<${EmptyState} icon="key" title="The tree is not for this user" text="It concerns all sessions, and you may see only some of them." />`;
  }
  if (failure === "failed")
    return html`<${EmptyState} icon="warning" title="The tree cannot be read" text="The page tries again every few seconds." />`;
  return html`<${NotRead} link=${link} what="children" rows=${6} />`;
}
