import { useEffect, useRef, useState } from "preact/hooks";
import type { EventContent } from "../../client/index.ts";
import type { ContentReference, EventText } from "../../wire/event-types.ts";
import type { Json } from "../../wire/json.ts";
import { html, type View } from "../html.ts";
import { type ContentPart, contentParts } from "../store/content-parts.ts";
import { bytesText } from "../store/format.ts";
import { messageOf, plain } from "../store/shown-name.ts";
import { LongText } from "./long-text.ts";
import { MarkdownText } from "./markdown-text.ts";

/** Reads what is stored apart from its event. @throws CastellanApiError */
export type ReadContent = (content: ContentReference) => Promise<EventContent>;

/** A larger image is read only when somebody asks for it, in bytes. */
const LARGE_IMAGE = 3_000_000;

/** A longer text is shown as it is: its parts would be too many for the document. In characters. */
const LONGEST_MARKDOWN = 100_000;

interface ContentViewProps {
  readonly read: ReadContent;
  readonly value: Json;
  /** Whether its texts are Markdown. Others are shown as they are, as outputs of tools. */
  readonly markdown?: boolean;
}

/** The parts of a prompt or of the result of a tool. */
export function ContentView({ read, value, markdown = false }: ContentViewProps): View {
  return html`${contentParts(value).map(
    (part, index) => html`<${PartView} key=${index} read=${read} part=${part} markdown=${markdown} />`,
  )}`;
}

/** A text, which may be stored apart. */
export function TextView({ read, text }: { readonly read: ReadContent; readonly text: EventText }): View {
  if (typeof text === "string") return html`<${MarkdownText} text=${text} />`;
  return html`<${StoredView} read=${read} content=${text} markdown=${true} />`;
}

interface PartViewProps {
  readonly read: ReadContent;
  readonly part: ContentPart;
  readonly markdown: boolean;
}

function PartView({ read, part, markdown }: PartViewProps): View {
  switch (part.kind) {
    case "text":
      return markdown
        ? html`<${MarkdownText} text=${part.text} />`
        : html`<${LongText} text=${part.text} label="Text" kind="output" />`;
    case "json":
      return html`<${LongText} text=${part.text} label="Text" kind="output" />`;
    case "image":
      return html`<${ImageView} read=${read} part=${part} />`;
    case "stored":
      return html`<${StoredView} read=${read} content=${part.content} markdown=${markdown} />`;
  }
}

interface StoredViewProps {
  readonly read: ReadContent;
  readonly content: ContentReference;
  readonly markdown: boolean;
}

/** What is stored apart is read when somebody asks. */
function StoredView({ read, content, markdown }: StoredViewProps): View {
  const [value, setValue] = useState<Json | undefined>(undefined);
  const [problem, setProblem] = useState("");
  const isText = content.mediaType === "text/plain" || content.mediaType === "application/json";
  const load = async (): Promise<void> => {
    try {
      const text = new TextDecoder().decode((await read(content)).data);
      setValue(content.mediaType === "application/json" ? (JSON.parse(text) as Json) : text);
    } catch (error) {
      setProblem(problemOf(error));
    }
  };
  if (value !== undefined) {
    const isLong = typeof value === "string" && value.length > LONGEST_MARKDOWN;
    return html`<${ContentView} read=${read} value=${value} markdown=${markdown && !isLong} />`;
  }
  const what = `${bytesText(content.size)} of ${plain(content.mediaType)}`;
  return html`<p class="stored">
    ${isText ? html`<button class="button small" type="button" onClick=${load}>Show ${what}</button>` : html`<span class="quiet">${what}</span>`}
    ${problem !== "" && html`<span class="bad" role="alert">${problem}</span>`}
  </p>`;
}

function ImageView({
  read,
  part,
}: {
  readonly read: ReadContent;
  readonly part: Extract<ContentPart, { kind: "image" }>;
}): View {
  const frame = useRef<HTMLDivElement>(null);
  const [wanted, setWanted] = useState(false);
  const [url, setUrl] = useState<string | undefined>(undefined);
  const [problem, setProblem] = useState("");
  const [whole, setWhole] = useState(false);
  const { content, type } = part;
  const large = content.size > LARGE_IMAGE;
  useEffect(() => {
    if (large || frame.current === null) return;
    const watcher = new IntersectionObserver((entries) => {
      if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
      watcher.disconnect();
      setWanted(true);
    });
    watcher.observe(frame.current);
    return () => watcher.disconnect();
  }, []);
  useEffect(() => {
    if (!wanted) return;
    let made: string | undefined;
    let isOver = false;
    const load = async (): Promise<void> => {
      try {
        const { data } = await read(content);
        if (isOver) return;
        made = URL.createObjectURL(new Blob([data as Uint8Array<ArrayBuffer>], { type }));
        setUrl(made);
      } catch (error) {
        setProblem(problemOf(error));
      }
    };
    void load();
    return () => {
      isOver = true;
      if (made !== undefined) URL.revokeObjectURL(made);
    };
  }, [wanted]);
  const what = `${type.slice("image/".length).toUpperCase()}, ${bytesText(content.size)}`;
  // The frame has its height before the image comes.
  return html`<div ref=${frame} class=${whole ? "image whole" : "image"}>
    ${
      url !== undefined &&
      html`<button type="button" aria-label=${whole ? "Show the image small" : "Show the image in full size"} onClick=${() => setWhole(!whole)}>
        <img src=${url} alt=${`Image: ${what}`} onError=${() => setProblem("It is no image that this browser shows.")} />
      </button>`
    }
    ${url === undefined && large && !wanted && html`<button class="button small" type="button" onClick=${() => setWanted(true)}>Show image (${what})</button>`}
    <span class=${problem === "" ? "image-note" : "image-note bad"}>${problem === "" ? what : problem}</span>
  </div>`;
}

function problemOf(error: unknown): string {
  return `It cannot be read: ${messageOf(error)}`;
}
