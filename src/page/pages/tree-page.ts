import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { html, type View } from "../html.ts";
import { EmptyState } from "../parts/empty-state.ts";
import { Icon } from "../parts/icon.ts";
import { TreeDetails } from "../parts/tree-details.ts";
import { TreeView } from "../parts/tree-view.ts";
import type { PageContext } from "../store/page-context.ts";
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
  const search = useRef<HTMLInputElement>(null);
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
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const typing = event.target instanceof Element && event.target.matches("input, textarea, select, dialog *");
      if (event.key !== "/" || typing) return;
      event.preventDefault();
      search.current?.focus();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
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
    return html`<h1 tabindex="-1" class="unseen">Tree</h1><${NoTree} failure=${feed.failure.value} lost=${link.state.value === "lost"} />`;
  }
  const selected = itemOfId(root, active) ?? root;
  return html`
    <div class="page-head">
      <h1 tabindex="-1">Tree</h1>
      <div class="search tree-search">
        <${Icon} name="search" />
        <input
          ref=${search}
          type="search"
          value=${text}
          placeholder="Search names and states"
          aria-label="Search names, kinds and states"
          aria-keyshortcuts="/"
          spellcheck="false"
          autocomplete="off"
          onInput=${(event: Event) => change({ q: (event.currentTarget as HTMLInputElement).value })}
        />
        <kbd aria-hidden="true">/</kbd>
      </div>
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

function NoTree({ failure, lost }: { readonly failure: "reach" | "failed" | undefined; readonly lost: boolean }): View {
  if (failure === "reach") {
    return html`<${EmptyState} icon="key" title="The tree is not for this user" text="It concerns all sessions, and you may see only some of them." />`;
  }
  if (failure === "failed")
    return html`<${EmptyState} icon="warning" title="The tree cannot be read" text="The page tries again every few seconds." />`;
  if (lost)
    return html`<${EmptyState} icon="cloud" title="The server does not answer" text="The page shows the tree as soon as it does." />`;
  return html`<div class="list skeleton" aria-busy="true" aria-label="The tree is being read">
    ${Array.from({ length: 6 }, (_, index) => html`<div class="row" key=${index}><span></span><span></span></div>`)}
  </div>`;
}
