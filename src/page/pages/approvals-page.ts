import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { html, type View } from "../html.ts";
import { allow } from "../parts/approval-answer.ts";
import { ApprovalArticle } from "../parts/approval-article.ts";
import { ApprovalHistory } from "../parts/approval-history.ts";
import { EmptyState } from "../parts/empty-state.ts";
import { Icon } from "../parts/icon.ts";
import { NotRead } from "../parts/not-read.ts";
import { ShortcutHelp } from "../parts/shortcut-help.ts";
import { pathOf } from "../store/address.ts";
import { type ApprovalCard, activeCard, neighbour } from "../store/approval-card.ts";
import { withNumber } from "../store/approval-draft.ts";
import { ApprovalInbox } from "../store/approval-inbox.ts";
import { countText, plural } from "../store/format.ts";
import { keyOf, nameOfKey } from "../store/name.ts";
import type { PageContext } from "../store/page-context.ts";
import { type KeyPress, type Shortcut, setShortcuts, shortcutOf, shortcutsOn } from "../store/shortcuts.ts";
import { shownName } from "../store/shown-name.ts";

/** The open approvals that are shown at first, and that each click adds. */
const PAGE = 50;
/** How often approvals without events here, those of other nodes, are read again. */
const POLL_MS = 5_000;

/** What waits for somebody's decision, in all sessions. */
export function ApprovalsPage({ context }: { readonly context: PageContext }): View {
  const { fleet, navigation, link } = context;
  const inbox = useMemo(() => new ApprovalInbox(context), []);
  const selected = useSignal<string | undefined>(undefined);
  const help = useSignal(false);
  const [keysOn, setKeysOn] = useState(shortcutsOn);
  const [most, setMost] = useState(PAGE);
  const { query } = navigation.place.value;
  const only = useMemo(() => nameOfKey(new URLSearchParams(query).get("session") ?? ""), [query]);
  const all = inbox.cards.value;
  const cards = useMemo(() => {
    if (only === undefined) return all;
    return all.filter(({ approval }) => keyOf(approval.session) === keyOf(only));
  }, [all, only]);
  // Keys reach only what is on the page.
  const shown = useMemo(() => cards.slice(0, most), [cards, most]);
  const latest = useRef(shown);
  latest.current = shown;
  useSignalEffect(() => {
    if (fleet.approvalsRead.value) inbox.take(fleet.approvals.value);
  });
  useSignalEffect(() => {
    const event = fleet.settled.value;
    if (event !== undefined) void inbox.settled(event.session);
  });
  useEffect(() => {
    if (fleet.complete.value) void inbox.readHistory();
  }, [fleet.complete.value]);
  useEffect(() => {
    if (fleet.server.value?.inCluster !== true) return;
    const poll = setInterval(() => {
      if (document.visibilityState === "visible") void fleet.readApprovals();
    }, POLL_MS);
    return () => clearInterval(poll);
  }, [fleet.server.value?.inCluster]);
  useEffect(() => {
    // The list of all sessions, which comes first otherwise, may be long.
    void fleet.readApprovals();
    return () => inbox.stop();
  }, []);
  const active = activeCard(shown, selected.value)?.approval.id;
  // A key answers what stood out when it was pressed: neither an older approval that has come before it, nor the next one after its end.
  useLayoutEffect(() => {
    selected.value = active;
  }, [active]);
  useEffect(() => {
    if (!keysOn) return;
    const onKey = (event: KeyboardEvent): void => {
      const shortcut = document.querySelector("dialog[open]") === null ? shortcutOf(pressOf(event)) : undefined;
      if (shortcut === undefined) return;
      if (shortcut.does === "help") help.value = true;
      else if (shortcut.does === "next" || shortcut.does === "previous") {
        const id = neighbour(latest.current, selected.peek(), shortcut.does === "next" ? 1 : -1);
        if (id === undefined) return;
        selected.value = id;
        document.getElementById(`approval-${id}`)?.focus({ preventScroll: true });
      } else {
        const card = activeCard(latest.current, selected.peek());
        if (card === undefined || !actOn(context, inbox, card, shortcut)) return;
        selected.value = card.approval.id;
      }
      event.preventDefault();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [keysOn]);
  const open = cards.filter(({ state }) => state.is === "open").length;
  const settled = cards.filter(({ state }) => state.is === "settled").length;
  return html`<div class="approvals">
    <div class="page-head">
      <h1 tabindex="-1">Approvals</h1>
      <p class="quiet">${fleet.approvalsRead.value && (open === 0 ? "Nothing is open" : `${countText(open)} open, the oldest first`)}</p>
      <span class="unseen" role="status">${inbox.news.value}</span>
      <div class="page-actions">
        ${
          only !== undefined &&
          html`<a class="chip label" href=${navigation.href(pathOf({ page: "approvals" }))} aria-label=${`Only of ${shownName(only)}. Show those of all sessions`}>
            ${shownName(only)}<${Icon} name="close" />
          </a>`
        }
        ${settled > 0 && html`<button class="button small" type="button" onClick=${() => inbox.clear()}>Dismiss ${countText(settled)} decided</button>`}
        <button class="button small keys-button" type="button" aria-keyshortcuts="?" onClick=${() => {
          help.value = true;
        }}>Keys<kbd aria-hidden="true">?</kbd></button>
      </div>
    </div>
    ${
      shown.length > 0
        ? shown.map(
            (card) => html`<${ApprovalArticle}
              key=${card.approval.id}
              context=${context}
              inbox=${inbox}
              card=${card}
              selected=${card.approval.id === active}
              select=${(id: string) => {
                selected.value = id;
              }}
            />`,
          )
        : fleet.approvalsRead.value
          ? html`<${EmptyState}
              icon="shield"
              title="Nothing waits for a decision"
              text="When a session with approvals asks for a permission or has a question, it appears here at once."
            />`
          : html`<${NotRead} link=${link} what="approvals" rows=${3} />`
    }
    ${
      cards.length > most &&
      html`<button class="button more" type="button" onClick=${() => setMost(most + PAGE)}>
        Show more of ${plural(cards.length - most, "further approval")}
      </button>`
    }
    <${ApprovalHistory} context=${context} history=${inbox.history.value} />
    <${ShortcutHelp}
      open=${help}
      on=${keysOn}
      change=${(on: boolean) => {
        setShortcuts(on);
        setKeysOn(on);
      }}
    />
  </div>`;
}

const TEXT = "input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]";
const MOVING = "input[type=radio], .diff, .long-text";

function pressOf(event: KeyboardEvent): KeyPress {
  const { key, target, repeat: repeated } = event;
  const element = target instanceof Element ? target : undefined;
  const where = element?.matches(TEXT) === true ? "text" : element?.matches(MOVING) === true ? "moving" : "page";
  return { key, repeated, where, modified: event.ctrlKey || event.altKey || event.metaKey || event.isComposing };
}

/** Carries out a key on the selected card. Returns whether it meant anything there. */
function actOn(context: PageContext, inbox: ApprovalInbox, card: ApprovalCard, shortcut: Shortcut): boolean {
  const { approval, state } = card;
  const { questions = [] } = approval;
  const article = document.getElementById(`approval-${approval.id}`);
  if (shortcut.does === "leave") {
    if (article?.contains(document.activeElement) !== true) return false;
    article.focus({ preventScroll: true });
    return true;
  }
  if (state.is !== "open" || !context.fleet.may("approve")) return false;
  const draft = inbox.draftOf(approval);
  switch (shortcut.does) {
    case "allow":
      // Somebody who writes why not does not mean to allow it.
      if (draft.mode === "deny") return false;
      allow(inbox, card);
      return true;
    case "deny":
      inbox.change(approval, { ...draft, mode: "deny" });
      return true;
    case "edit":
      if (questions.length > 0 || approval.tool === "ExitPlanMode") return false;
      inbox.change(approval, { ...draft, mode: "edit" });
      return true;
    case "number":
      inbox.change(approval, withNumber(approval, draft, shortcut.number));
      return true;
    case "question":
      if (questions.length === 0) return false;
      inbox.change(approval, { ...draft, question: (draft.question + 1) % questions.length });
      return true;
    case "other":
      article?.querySelectorAll<HTMLElement>(".other")[draft.question]?.focus();
      return questions.length > 0;
    default:
      return false;
  }
}
