import type { Approval, ApprovalQuestion, ApproveTool } from "../../wire/approval.ts";
import type { PermissionUpdate } from "../../wire/permission-update.ts";
import { editableInput } from "./tool-input.ts";

/** The answer to a question as it is being chosen. */
export interface Choice {
  /** Indexes of options. */
  readonly options: readonly number[];
  /** In the operator's own words. */
  readonly other: string;
}

/** What an operator has chosen on a card, before it is sent. */
export interface ApprovalDraft {
  /** `deny`: the reason is being written. `edit`: the input is being changed. */
  readonly mode: "choose" | "deny" | "edit";
  /** Indexes of ticked suggestions. */
  readonly ticked: readonly number[];
  readonly choices: readonly Choice[];
  /** The index of the question that number keys answer. */
  readonly question: number;
  readonly reason: string;
  /** The changed input as text; undefined if it has not been changed. */
  readonly edited?: string | undefined;
}

const NO_CHOICE: Choice = { options: [], other: "" };

/** Returns the draft of a card that nobody has touched. */
export function newDraft({ questions = [] }: Approval): ApprovalDraft {
  return { mode: "choose", ticked: [], choices: questions.map(() => NO_CHOICE), question: 0, reason: "" };
}

/** Returns the list with the item, or without it if it is there. */
function toggled(list: readonly number[], item: number): readonly number[] {
  return list.includes(item) ? list.filter((one) => one !== item) : [...list, item].sort((one, other) => one - other);
}

/** Returns the draft after a number key, 1 to 9, or a click on that suggestion or option. Ignores a number without one. */
export function withNumber(approval: Approval, draft: ApprovalDraft, number: number): ApprovalDraft {
  const { questions = [], suggestions } = approval;
  const asked = questions[draft.question];
  if (asked !== undefined) return number > asked.options.length ? draft : withOption(asked, draft, number - 1);
  if (number > suggestions.length) return draft;
  return { ...draft, ticked: toggled(draft.ticked, number - 1) };
}

/** Returns the draft with an option of the current question chosen, or no longer chosen. */
function withOption({ multiSelect }: ApprovalQuestion, draft: ApprovalDraft, option: number): ApprovalDraft {
  const choice = draft.choices[draft.question] ?? NO_CHOICE;
  if (multiSelect) return withChoice(draft, { ...choice, options: toggled(choice.options, option) });
  const isChosen = choice.options.includes(option);
  const next = withChoice(draft, { options: isChosen ? [] : [option], other: isChosen ? choice.other : "" });
  return isChosen ? next : { ...next, question: Math.min(draft.question + 1, draft.choices.length - 1) };
}

/** Returns the draft with own words as the answer to a question. They replace the option of a question with one answer. */
export function withOther(questions: readonly ApprovalQuestion[], draft: ApprovalDraft, other: string): ApprovalDraft {
  const choice = draft.choices[draft.question] ?? NO_CHOICE;
  const keeps = questions[draft.question]?.multiSelect === true || other.trim() === "";
  return withChoice(draft, { options: keeps ? choice.options : [], other });
}

function withChoice(draft: ApprovalDraft, choice: Choice): ApprovalDraft {
  return { ...draft, choices: draft.choices.with(draft.question, choice) };
}

/** Returns the answers by question; a question without one is left out. */
export function answersOf(
  questions: readonly ApprovalQuestion[],
  choices: readonly Choice[],
): Readonly<Record<string, string | readonly string[]>> {
  const answers = questions.flatMap(({ question, options, multiSelect }, index): [string, string | string[]][] => {
    const { options: chosen, other } = choices[index] ?? NO_CHOICE;
    const labels = chosen.flatMap((at) => options[at]?.label ?? []);
    const words = other.trim();
    if (multiSelect) {
      const all = words === "" ? labels : [...labels, words];
      return all.length === 0 ? [] : [[question, all]];
    }
    const one = words === "" ? labels[0] : words;
    return one === undefined ? [] : [[question, one]];
  });
  return Object.fromEntries(answers);
}

/** The ticked suggestions. */
function tickedRules({ suggestions }: Approval, { ticked }: ApprovalDraft): readonly PermissionUpdate[] {
  return ticked.flatMap((index) => suggestions[index] ?? []);
}

/**
 * Returns what is sent to let the tool run.
 *
 * @throws Error why the draft cannot be sent, for the operator
 */
export function allowanceOf(approval: Approval, draft: ApprovalDraft): ApproveTool {
  const { questions, tool, input } = approval;
  if (questions !== undefined) {
    const answers = answersOf(questions, draft.choices);
    if (Object.keys(answers).length === 0) throw new Error("Choose an answer first.");
    return { answers };
  }
  const rules = tickedRules(approval, draft);
  const editable = editableInput(tool, input);
  const { mode, edited = editable.text } = draft;
  const isChanged = mode === "edit" && edited !== editable.text;
  return { ...(rules.length > 0 && { rules }), ...(isChanged && { input: editable.changed(edited) }) };
}
