/** Part of a line. A link leads to another host, and an image is a link to it. */
export type Inline =
  | string
  | { readonly kind: "strong" | "em" | "del"; readonly content: readonly Inline[] }
  | { readonly kind: "code"; readonly text: string }
  | { readonly kind: "link"; readonly href: string; readonly image: boolean; readonly content: readonly Inline[] }
  | { readonly kind: "break" };

/** How deeply parts may nest. What nests deeper stays as it was written. */
const DEEPEST = 16;

/** The longest address of a link, in characters. */
const LONGEST_ADDRESS = 2_000;

/** A part, and how deeply it nests. An opening mark is a text until its end comes. */
interface Part {
  value: Inline;
  readonly depth: number;
}

/** A mark that may begin emphasis, a link, or an image. */
interface Opener {
  readonly mark: "*" | "_" | "~" | "[" | "![";
  /** Its place among the parts. */
  readonly at: number;
  /** How many of its characters are left. */
  left: number;
}

/** Finds emphasis, code and links in a text of one block, in time that grows with the text whoever wrote it. */
class InlineParser {
  readonly #text: string;
  readonly #parts: Part[] = [];
  readonly #openers: Opener[] = [];
  /** How many openers there are of each mark: without any, nothing is searched. */
  readonly #open: Record<Opener["mark"], number> = { "*": 0, _: 0, "~": 0, "[": 0, "![": 0 };
  /** Where runs of backticks begin, by their length, the last first. */
  #ticks: Map<number, number[]> | undefined;
  #at = 0;
  #plain = "";

  constructor(text: string) {
    this.#text = text;
  }

  parse(): readonly Inline[] {
    const text = this.#text;
    while (this.#at < text.length) {
      const next = find(/[\\`*_~[\]!<&\nhw]/g, text, this.#at)?.index ?? text.length;
      this.#plain += text.slice(this.#at, next);
      this.#at = next;
      if (next < text.length) this.#special(text[next] ?? "");
    }
    return this.#taken(0);
  }

  /** Takes what begins with a special character. */
  #special(character: string): void {
    if (character === "\\") this.#escape();
    else if (character === "`") this.#code();
    else if (character === "*" || character === "_" || character === "~") this.#emphasis(character);
    else if (character === "[") this.#opens("[", 1);
    else if (character === "!" && this.#text[this.#at + 1] === "[") this.#opens("![", 2);
    else if (character === "]") this.#closes();
    else if (character === "\n") this.#line();
    else if (character === "h" || character === "w") this.#address();
    else if (character === "<") {
      this.#take(/<((?:https?:|mailto:)[^\s<>]{1,2000})>/y, ([, address = ""]) => this.#link(address, address));
    } else if (character === "&") {
      this.#take(/&(amp|lt|gt|quot|apos|nbsp|#39);/y, ([whole, name = ""]) => {
        this.#plain += CHARACTERS[name] ?? whole;
        return true;
      });
    } else this.#literal(1);
  }

  /** Takes what matches here, or the character as it is. @param use returns whether it could be used */
  #take(pattern: RegExp, use: (found: RegExpExecArray) => boolean): void {
    const found = find(pattern, this.#text, this.#at);
    if (found === undefined || !use(found)) this.#literal(1);
    else this.#at += found[0].length;
  }

  #literal(length: number): void {
    this.#plain += this.#text.slice(this.#at, this.#at + length);
    this.#at += length;
  }

  #push(value: Inline, depth = 1): void {
    this.#flush();
    this.#parts.push({ value, depth });
  }

  #flush(): void {
    if (this.#plain === "") return;
    this.#parts.push({ value: this.#plain, depth: 0 });
    this.#plain = "";
  }

  #escape(): void {
    const next = this.#text[this.#at + 1] ?? "";
    if (!/[!-/:-@[-`{-~\n]/.test(next)) {
      this.#literal(1);
      return;
    }
    if (next === "\n") this.#push({ kind: "break" });
    else this.#plain += next;
    this.#at += 2;
  }

  #line(): void {
    if (this.#plain.endsWith("  ")) {
      this.#plain = this.#plain.trimEnd();
      this.#push({ kind: "break" });
      this.#at += 1;
    } else this.#literal(1);
  }

  #code(): void {
    const text = this.#text;
    const begin = this.#at;
    const length = runFrom(text, begin);
    this.#ticks ??= runsOf(text);
    const ends = this.#ticks.get(length) ?? [];
    // Each run is looked at once.
    while ((ends.at(-1) ?? text.length) <= begin) ends.pop();
    const end = ends.at(-1);
    if (end === undefined) {
      this.#literal(length);
      return;
    }
    const code = text.slice(begin + length, end).replaceAll("\n", " ");
    const isPadded = code.startsWith(" ") && code.endsWith(" ") && code.trim() !== "";
    this.#push({ kind: "code", text: isPadded ? code.slice(1, -1) : code });
    this.#at = end + length;
  }

  #opens(mark: "[" | "![", length: number): void {
    this.#push(mark, 0);
    this.#open[mark] += 1;
    this.#openers.push({ mark, at: this.#parts.length - 1, left: 1 });
    this.#at += length;
  }

  #closes(): void {
    const opener = this.#open["["] + this.#open["!["] > 0 ? this.#lastOpener(["[", "!["]) : undefined;
    if (opener === undefined) {
      this.#literal(1);
      return;
    }
    const isImage = opener.mark === "![";
    this.#drop(opener);
    const target = find(TARGET, this.#text.slice(this.#at + 1, this.#at + LONGEST_ADDRESS), 0);
    const href = target === undefined ? undefined : safeAddress(withCharacters((target[1] ?? target[2] ?? "").trim()));
    if (target === undefined || href === undefined) {
      this.#literal(1);
      return;
    }
    this.#at += 1 + target[0].length;
    this.#flush();
    const depth = this.#depthFrom(opener.at);
    if (depth >= DEEPEST) {
      this.#dropAll();
      this.#plain += `](${target[1] ?? target[2] ?? ""})`;
      return;
    }
    const content = withoutLinks(this.#taken(opener.at + 1));
    this.#parts.length = opener.at;
    this.#push({ kind: "link", href, image: isImage, content }, depth + 1);
  }

  /** An address that is written as it is. */
  #address(): void {
    const before = this.#text[this.#at - 1] ?? " ";
    if (/[\p{L}\p{N}_]/u.test(before)) {
      this.#literal(1);
      return;
    }
    // In the text of a link it ends where that ends.
    const isInLink = this.#open["["] + this.#open["!["] > 0;
    this.#take(
      isInLink ? /(?:https?:\/\/|www\.)[^\s<\]]{1,2000}/y : /(?:https?:\/\/|www\.)[^\s<]{1,2000}/y,
      (found) => {
        const address = withoutEnd(found[0]);
        found[0] = address;
        return this.#link(address, address);
      },
    );
  }

  #link(address: string, text: string): boolean {
    const href = safeAddress(address);
    if (href === undefined) return false;
    this.#push({ kind: "link", href, image: false, content: [text] });
    return true;
  }

  #emphasis(mark: "*" | "_" | "~"): void {
    const length = runFrom(this.#text, this.#at);
    const [before, after] = [this.#text[this.#at - 1] ?? " ", this.#text[this.#at + length] ?? " "];
    const opensWord = !isSpace(after) && (!isMark(after) || isSpace(before) || isMark(before));
    const closesWord = !isSpace(before) && (!isMark(before) || isSpace(after) || isMark(after));
    const canOpen = opensWord && (mark !== "_" || !closesWord || isMark(before));
    const canClose = closesWord && (mark !== "_" || !opensWord || isMark(after));
    if (mark === "~" && length !== 2) {
      this.#literal(length);
      return;
    }
    const left = canClose ? this.#ends(mark, length) : length;
    if (left > 0 && canOpen) {
      this.#push(mark.repeat(left), 0);
      this.#open[mark] += 1;
      this.#openers.push({ mark, at: this.#parts.length - 1, left });
    } else this.#plain += mark.repeat(left);
    this.#at += length;
  }

  /** Ends emphasis with a run of marks. Returns how many of them are left. */
  #ends(mark: "*" | "_" | "~", length: number): number {
    let left = length;
    while (left > 0 && this.#open[mark] > 0) {
      const opener = this.#lastOpener([mark]);
      if (opener === undefined) break;
      this.#flush();
      const used = left >= 2 && opener.left >= 2 ? 2 : 1;
      const depth = this.#depthFrom(opener.at);
      if (depth >= DEEPEST) {
        this.#dropAll();
        break;
      }
      const content = this.#taken(opener.at + 1);
      opener.left -= used;
      left -= used;
      const kind = mark === "~" ? "del" : used === 2 ? "strong" : "em";
      this.#parts.length = opener.at;
      if (opener.left > 0) this.#parts.push({ value: mark.repeat(opener.left), depth: 0 });
      else this.#drop(opener);
      this.#parts.push({ value: { kind, content }, depth: depth + 1 });
    }
    return left;
  }

  /** Returns the last opener of a mark. Those behind it stay texts. */
  #lastOpener(marks: readonly Opener["mark"][]): Opener | undefined {
    for (let opener = this.#openers.at(-1); opener !== undefined; opener = this.#openers.at(-1)) {
      if (marks.includes(opener.mark)) return opener;
      this.#drop(opener);
    }
    return undefined;
  }

  #drop(opener: Opener): void {
    this.#openers.pop();
    this.#open[opener.mark] -= 1;
  }

  /** All stay texts. */
  #dropAll(): void {
    while (this.#openers.length > 0) this.#lastOpener([]);
  }

  #depthFrom(at: number): number {
    let depth = 0;
    for (let index = at + 1; index < this.#parts.length; index++)
      depth = Math.max(depth, this.#parts[index]?.depth ?? 0);
    return depth;
  }

  /** Returns the parts from a place on, neighbouring texts as one. */
  #taken(from: number): readonly Inline[] {
    this.#flush();
    const taken: Inline[] = [];
    for (let index = from; index < this.#parts.length; index++) {
      const value = this.#parts[index]?.value ?? "";
      const before = taken.at(-1);
      if (typeof value === "string" && typeof before === "string") taken[taken.length - 1] = before + value;
      else taken.push(value);
    }
    return taken;
  }
}

/** Returns the parts of a text. */
export function inlineOf(text: string): readonly Inline[] {
  return new InlineParser(text).parse();
}

/** `(address)`, `(<address>)`, both also with a title. */
const TARGET = /\(\s*(?:<([^<>\n]*)>|((?:[^\s()<>\\]|\\.|\([^\s()<>]*\))*))(?:\s+(?:"[^"]*"|'[^']*'))?\s*\)/y;

function find(pattern: RegExp, text: string, at: number): RegExpExecArray | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text) ?? undefined;
}

/** How often the character at a place is repeated. */
function runFrom(text: string, at: number): number {
  let end = at + 1;
  while (text[end] === text[at]) end += 1;
  return end - at;
}

/** Returns where runs of backticks begin, by their length, the last first. */
function runsOf(text: string): Map<number, number[]> {
  const runs = new Map<number, number[]>();
  for (const { index, 0: run } of [...text.matchAll(/`+/g)].reverse()) {
    const known = runs.get(run.length);
    if (known === undefined) runs.set(run.length, [index]);
    else known.push(index);
  }
  return runs;
}

function isSpace(character: string): boolean {
  return /\s/.test(character);
}

function isMark(character: string): boolean {
  return /[\p{P}\p{S}]/u.test(character);
}

/** A link within a link would be none. */
function withoutLinks(content: readonly Inline[]): readonly Inline[] {
  return content.flatMap((part) => {
    if (typeof part === "string" || !("content" in part)) return [part];
    const inner = withoutLinks(part.content);
    return part.kind === "link" ? inner : [{ ...part, content: inner }];
  });
}

/** The end of a sentence does not belong to an address, and a bracket only with its other half. */
function withoutEnd(address: string): string {
  let end = address.length;
  let lone = address.split(")").length - address.split("(").length;
  for (;;) {
    const last = address[end - 1] ?? "";
    if (last === ")" ? lone <= 0 : !/[.,:;!?'"*_~\]]/.test(last)) return address.slice(0, end);
    if (last === ")") lone -= 1;
    end -= 1;
  }
}

const SAFE: ReadonlySet<string> = new Set(["http:", "https:", "mailto:"]);

/** Returns an address that a link may have, as browsers write it: of the web or of a mail, and whole. */
export function safeAddress(address: string): string | undefined {
  const whole = /^www\./i.test(address) ? `http://${address}` : address;
  if (!URL.canParse(whole)) return undefined;
  const { protocol, href } = new URL(whole);
  return SAFE.has(protocol) ? href : undefined;
}

/** Returns where a link leads, if its text does not say so: the host, or the address of a mail. */
export function unsaidTarget({ href, content }: Extract<Inline, { kind: "link" }>): string | undefined {
  const { host, protocol } = new URL(href);
  const [scheme, target] = protocol === "mailto:" ? [protocol, href.slice(protocol.length)] : [`${protocol}//`, host];
  const [text] = content;
  if (content.length !== 1 || typeof text !== "string") return target;
  const said = text.startsWith(scheme) ? text.slice(scheme.length) : text;
  // `https://bank.com@evil.com` and `evil.com.bank.com` name the host, but read as another one.
  return said.startsWith(target) && /^(?:[/?#]|$)/.test(said.slice(target.length)) ? undefined : target;
}

/** The few character references that people write. Others stay: they could hide what is written. */
const CHARACTERS: Readonly<Record<string, string>> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
  nbsp: "\u00a0",
  "#39": "'",
};

function withCharacters(text: string): string {
  return text.replace(/&(amp|lt|gt|quot|apos|nbsp|#39);/g, (whole, name: string) => CHARACTERS[name] ?? whole);
}
