import { type Inline, inlineOf } from "./markdown-inline.ts";
import { plainLines } from "./shown-name.ts";

/** An item of a list. */
export interface ListItem {
  /** Of a task; undefined for other items. */
  readonly checked: boolean | undefined;
  readonly blocks: readonly Block[];
}

/** A block of a Markdown text. */
export type Block =
  | { readonly kind: "paragraph" | "line"; readonly content: readonly Inline[] }
  | { readonly kind: "heading"; readonly level: number; readonly content: readonly Inline[] }
  | { readonly kind: "code"; readonly language: string; readonly text: string }
  | { readonly kind: "quote"; readonly blocks: readonly Block[] }
  | { readonly kind: "list"; readonly start: number | undefined; readonly items: readonly ListItem[] }
  | {
      readonly kind: "table";
      readonly align: readonly ("left" | "right" | "center")[];
      readonly head: readonly (readonly Inline[])[];
      readonly rows: readonly (readonly (readonly Inline[])[])[];
    }
  | { readonly kind: "rule" };

/**
 * Returns the blocks of a Markdown text that anybody may have written: CommonMark with the tables, tasks and addresses of GitHub, without
 * HTML and references to definitions, which stay text. Needs time that grows with the text.
 */
export function markdownOf(text: string): readonly Block[] {
  return blocksOf(plainLines(text).split("\n")).map(({ block }) => block);
}

/** A block that is longer is parsed again only after it has grown by a part of its length. */
const SHORT_BLOCK = 4_000;

/** The start of a sequence of a terminal, or the first half of a line's end, at the end of a text. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters that it finds
const CUT = /\u001b(?:\[[0-?]*[ -/]*|\][^\u0007\u001b]{0,2000}\u001b?)?$|\r$/;

/** The blocks of a Markdown text that grows. Parses only the last block again, whose end is not known. */
export class GrowingMarkdown {
  #blocks: readonly Block[] = [];
  /** The blocks that cannot change. */
  #closed: readonly Block[] = [];
  /** The text from the last block on, and how much of it has been parsed. */
  #open = "";
  #parsed = 0;
  /** How much of the given text has been taken. */
  #taken = 0;

  /** Takes the text so far. Returns its blocks; those that are closed are the same objects as before. */
  take(text: string): readonly Block[] {
    const news = text.slice(this.#taken);
    const cut = news.search(CUT);
    const whole = cut === -1 ? news : news.slice(0, cut);
    this.#taken += whole.length;
    this.#open += plainLines(whole);
    const grown = this.#open.length - this.#parsed;
    if (this.#open.length < SHORT_BLOCK ? grown > 0 : grown > this.#open.length / 8) this.#parse();
    return this.#blocks;
  }

  #parse(): void {
    const lines = this.#open.split("\n");
    const found = blocksOf(lines);
    this.#blocks = [...this.#closed, ...found.map(({ block }) => block)];
    const from = found.at(-1)?.line ?? 0;
    if (from > 0) {
      this.#closed = this.#blocks.slice(0, -1);
      this.#open = lines.slice(from).join("\n");
    }
    this.#parsed = this.#open.length;
  }
}

/** A block, and the line on which it begins. */
interface Found {
  readonly block: Block;
  readonly line: number;
}

/** How deeply blocks may nest. What nests deeper is a paragraph. */
const DEEPEST = 16;

const FENCE = /^ {0,3}(`{3,}|~{3,})([^\n]*)$/;
const ITEM = /^( {0,3})([-+*]|\d{1,9}[.)])( +|$)/;
const BLANK = /^[ \t]*$/;

function blocksOf(given: readonly string[], depth = 0): readonly Found[] {
  const lines = given.map(withoutTabs);
  const found: Found[] = [];
  for (let at = 0; at < lines.length; ) {
    const line = lines[at] ?? "";
    if (BLANK.test(line)) {
      at += 1;
      continue;
    }
    const [block, end] = blockAt(lines, at, depth);
    found.push({ block, line: at });
    at = end;
  }
  return found;
}

/** Returns the block that begins on a line, and the line after it. */
function blockAt(lines: readonly string[], at: number, depth: number): readonly [Block, number] {
  const line = lines[at] ?? "";
  const fence = fenceOf(line);
  if (fence !== undefined) return codeAt(lines, at, fence);
  const heading = /^ {0,3}(#{1,6})(?: |$)/.exec(line);
  if (heading !== null) {
    const text = line
      .slice(heading[0].length)
      .trim()
      .replace(/(?:^| )#+$/, "");
    return [{ kind: "heading", level: heading[1]?.length ?? 1, content: inlineOf(text) }, at + 1];
  }
  if (isRule(line)) return [{ kind: "rule" }, at + 1];
  if (/^ {4}/.test(line)) return indentedAt(lines, at);
  if (depth < DEEPEST && /^ {0,3}>/.test(line)) return quoteAt(lines, at, depth);
  if (depth < DEEPEST && ITEM.test(line)) return listAt(lines, at, depth);
  const align = line.includes("|") ? alignOf(lines[at + 1] ?? "") : undefined;
  if (align !== undefined && align.length === cellsOf(line).length) return tableAt(lines, at, align);
  return paragraphAt(lines, at);
}

interface Fence {
  readonly mark: string;
  readonly language: string;
  readonly indent: number;
}

function fenceOf(line: string): Fence | undefined {
  const [, mark = "", info = ""] = FENCE.exec(line) ?? [];
  if (mark === "" || (mark.startsWith("`") && info.includes("`"))) return undefined;
  return { mark, language: info.trim().split(" ", 1)[0] ?? "", indent: line.indexOf(mark) };
}

/** A fence that is not closed goes to the end, as while it is being written. */
function codeAt(lines: readonly string[], at: number, { mark, language, indent }: Fence): readonly [Block, number] {
  let end = at + 1;
  while (end < lines.length && !isFenceEnd(lines[end] ?? "", mark)) end += 1;
  const text = lines.slice(at + 1, end).map((line) => line.slice(Math.min(indent, indentOf(line))));
  return [{ kind: "code", language, text: text.join("\n") }, end + 1];
}

function isFenceEnd(line: string, mark: string): boolean {
  const bare = line.trim();
  return indentOf(line) < 4 && bare.length >= mark.length && bare === (mark[0] ?? "").repeat(bare.length);
}

function indentedAt(lines: readonly string[], at: number): readonly [Block, number] {
  let [end, last] = [at, at];
  while (end < lines.length && (/^ {4}/.test(lines[end] ?? "") || BLANK.test(lines[end] ?? ""))) {
    if (!BLANK.test(lines[end] ?? "")) last = end;
    end += 1;
  }
  const text = lines.slice(at, last + 1).map((line) => line.slice(4));
  return [{ kind: "code", language: "", text: text.join("\n") }, last + 1];
}

function quoteAt(lines: readonly string[], at: number, depth: number): readonly [Block, number] {
  const inner: string[] = [];
  let end = at;
  for (; end < lines.length; end++) {
    const line = lines[end] ?? "";
    const isMarked = /^ {0,3}>/.test(line);
    // A line of a paragraph may go on without a mark.
    if (!isMarked && (BLANK.test(line) || beginsBlock(line))) break;
    inner.push(isMarked ? line.replace(/^ {0,3}> ?/, "") : line);
  }
  return [{ kind: "quote", blocks: blocksOf(inner, depth + 1).map(({ block }) => block) }, end];
}

function listAt(lines: readonly string[], at: number, depth: number): readonly [Block, number] {
  const kind = kindOf(lines[at] ?? "");
  const items: string[][] = [];
  let end = at;
  let isLoose = false;
  while (end < lines.length && kindOf(lines[end] ?? "") === kind && !isRule(lines[end] ?? "")) {
    if (items.length > 0 && BLANK.test(lines[end - 1] ?? "")) isLoose = true;
    const [item, after] = itemAt(lines, end);
    items.push(item);
    end = after;
    while (end < lines.length && BLANK.test(lines[end] ?? "")) end += 1;
  }
  const isNumbered = /\d/.test(lines[at] ?? "") && kind !== "-" && kind !== "+" && kind !== "*";
  const parsed = items.map((item) => listItem(item, depth + 1));
  isLoose ||= parsed.some(({ isLoose: inner }) => inner);
  const shown = parsed.map(({ checked, blocks }) => ({ checked, blocks: isLoose ? blocks : blocks.map(asLine) }));
  const start = isNumbered ? Number.parseInt((lines[at] ?? "").trim(), 10) : undefined;
  return [{ kind: "list", start, items: shown }, end];
}

/** Items of a list have the same mark. */
function kindOf(line: string): string | undefined {
  return ITEM.exec(line)?.[2]?.at(-1);
}

/** Returns the lines of an item, without its indent, and the line after it. */
function itemAt(lines: readonly string[], at: number): readonly [string[], number] {
  const first = lines[at] ?? "";
  const [mark = ""] = ITEM.exec(first) ?? [];
  const bare = mark.trimEnd();
  // Five spaces are one, and an indented code.
  const indent = mark.length - bare.length > 4 || first.length === bare.length ? bare.length + 1 : mark.length;
  const item = [first.slice(indent)];
  let end = at + 1;
  for (; end < lines.length; end++) {
    const line = lines[end] ?? "";
    const isBlank = BLANK.test(line);
    const isAfterBlank = BLANK.test(lines[end - 1] ?? "");
    if (!isBlank && indentOf(line) < indent && (isAfterBlank || beginsBlock(line) || ITEM.test(line))) break;
    item.push(isBlank ? "" : line.slice(Math.min(indent, indentOf(line))));
  }
  while (item.at(-1) === "") {
    item.pop();
    end -= 1;
  }
  return [item, Math.max(end, at + 1)];
}

interface ParsedItem extends ListItem {
  readonly isLoose: boolean;
}

function listItem(lines: readonly string[], depth: number): ParsedItem {
  const [first = "", ...rest] = lines;
  const [task, mark] = /^\[([ xX])\] +/.exec(first) ?? [];
  const found = blocksOf(task === undefined ? lines : [first.slice(task.length), ...rest], depth);
  const isLoose = found.some(({ line }, index) => index > 0 && BLANK.test(lines[line - 1] ?? ""));
  const checked = mark === undefined ? undefined : mark !== " ";
  return { checked, blocks: found.map(({ block }) => block), isLoose };
}

function asLine(block: Block): Block {
  return block.kind === "paragraph" ? { ...block, kind: "line" } : block;
}

function alignOf(line: string): readonly ("left" | "right" | "center")[] | undefined {
  if (!line.includes("-")) return undefined;
  const cells = cellsOf(line);
  if (!cells.every((cell) => /^:?-+:?$/.test(cell))) return undefined;
  return cells.map((cell) => (cell.endsWith(":") ? (cell.startsWith(":") ? "center" : "right") : "left"));
}

function tableAt(
  lines: readonly string[],
  at: number,
  align: readonly ("left" | "right" | "center")[],
): readonly [Block, number] {
  let end = at + 2;
  while (end < lines.length && !BLANK.test(lines[end] ?? "") && !beginsBlock(lines[end] ?? "")) end += 1;
  const rowOf = (line: string): (readonly Inline[])[] => {
    const cells = cellsOf(line);
    return align.map((_, column) => inlineOf(cells[column] ?? ""));
  };
  return [{ kind: "table", align, head: rowOf(lines[at] ?? ""), rows: lines.slice(at + 2, end).map(rowOf) }, end];
}

function cellsOf(line: string): string[] {
  const bare = line.trim().replace(/^\|/, "");
  const cells = bare.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
  if (cells.length > 1 && cells.at(-1) === "") cells.pop();
  return cells;
}

function paragraphAt(lines: readonly string[], at: number): readonly [Block, number] {
  let end = at + 1;
  for (; end < lines.length; end++) {
    const line = lines[end] ?? "";
    const [, mark] = /^ {0,3}(={2,}|-{2,}) *$/.exec(line) ?? [];
    if (mark !== undefined) {
      const content = inlineOf(textOf(lines.slice(at, end)));
      return [{ kind: "heading", level: mark.startsWith("=") ? 1 : 2, content }, end + 1];
    }
    if (BLANK.test(line) || beginsBlock(line)) break;
  }
  return [{ kind: "paragraph", content: inlineOf(textOf(lines.slice(at, end))) }, end];
}

function textOf(lines: readonly string[]): string {
  return lines.map((line) => line.trimStart()).join("\n");
}

/** Whether a line ends a paragraph before it. A number does only if it begins a list. */
function beginsBlock(line: string): boolean {
  if (!/^ {0,3}[`~#>*+_\d-]/.test(line)) return false;
  if (fenceOf(line) !== undefined || /^ {0,3}(?:#{1,6}(?: |$)|>)/.test(line) || isRule(line)) return true;
  return /^ {0,3}(?:[-+*]|\d{1,9}[.)]) +\S/.test(line);
}

function isRule(line: string): boolean {
  return /^ {0,3}[-*_]/.test(line) && /^(?:-{3,}|\*{3,}|_{3,})$/.test(line.replaceAll(" ", ""));
}

function indentOf(line: string): number {
  return line.search(/[^ ]|$/);
}

/** Tabs before a line's text go to the next multiple of four. */
function withoutTabs(line: string): string {
  if (!line.includes("\t")) return line;
  const indent = /^[ \t]*/.exec(line)?.[0] ?? "";
  let width = 0;
  for (const character of indent) width += character === "\t" ? 4 - (width % 4) : 1;
  return " ".repeat(width) + line.slice(indent.length);
}
