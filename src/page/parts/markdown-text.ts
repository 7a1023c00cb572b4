import type { ComponentChildren } from "preact";
import { useMemo, useRef } from "preact/hooks";
import { html, type View } from "../html.ts";
import { type Block, GrowingMarkdown, type ListItem, markdownOf } from "../store/markdown.ts";
import { type Inline, unsaidTarget } from "../store/markdown-inline.ts";
import { CopyButton } from "./copy-button.ts";

/** A Markdown text that anybody may have written. */
export function MarkdownText({ text }: { readonly text: string }): View {
  const blocks = useMemo(() => markdownOf(text), [text]);
  return html`<div class="words">${blocksView(blocks)}</div>`;
}

/** A Markdown text that is being written. */
export function GrowingText({ text }: { readonly text: string }): View {
  const growing = useRef<GrowingMarkdown>(null);
  growing.current ??= new GrowingMarkdown();
  return html`<div class="words">${blocksView(growing.current.take(text))}</div>`;
}

function blocksView(blocks: readonly Block[]): ComponentChildren {
  return blocks.map((block, index) => html`<${BlockView} key=${index} block=${block} />`);
}

/** A block that has not changed costs nothing. */
function BlockView({ block }: { readonly block: Block }): View {
  return useMemo(() => viewOf(block), [block]);
}

function viewOf(block: Block): View {
  switch (block.kind) {
    case "paragraph":
      return html`<p>${inlineView(block.content)}</p>`;
    case "line":
      return html`<span>${inlineView(block.content)}</span>`;
    case "heading":
      // The page has one heading of the first level, and its levels have no gaps.
      return html`<h3 class=${`level-${block.level}`}>${inlineView(block.content)}</h3>`;
    case "code":
      return html`<div class="code">
        <div class="code-head"><span>${block.language}</span><${CopyButton} text=${block.text} /></div>
        <pre tabindex="0"><code>${block.text}</code></pre>
      </div>`;
    case "quote":
      return html`<blockquote>${blocksView(block.blocks)}</blockquote>`;
    case "list":
      return block.start === undefined
        ? html`<ul>${block.items.map(itemView)}</ul>`
        : html`<ol start=${block.start}>${block.items.map(itemView)}</ol>`;
    case "table":
      return tableView(block);
    case "rule":
      return html`<hr />`;
  }
}

function itemView({ checked, blocks }: ListItem): View {
  if (checked === undefined) return html`<li>${blocksView(blocks)}</li>`;
  const label = checked ? "done" : "to do";
  return html`<li class="task"><span class=${checked ? "task-box done" : "task-box"} role="img" aria-label=${label}></span>${blocksView(blocks)}</li>`;
}

function tableView({ align, head, rows }: Extract<Block, { kind: "table" }>): View {
  const sideOf = (column: number): string => `to-${align[column]}`;
  return html`<div class="table" tabindex="0" role="group" aria-label="Table">
    <table>
      <thead><tr>${head.map((cell, column) => html`<th class=${sideOf(column)}>${inlineView(cell)}</th>`)}</tr></thead>
      <tbody>
        ${rows.map((row) => html`<tr>${row.map((cell, column) => html`<td class=${sideOf(column)}>${inlineView(cell)}</td>`)}</tr>`)}
      </tbody>
    </table>
  </div>`;
}

function inlineView(content: readonly Inline[]): ComponentChildren {
  return content.map((part) => {
    if (typeof part === "string") return part;
    if (part.kind === "break") return html`<br />`;
    if (part.kind === "code") return html`<code>${part.text}</code>`;
    if (part.kind === "link") return linkView(part);
    const inner = inlineView(part.content);
    if (part.kind === "strong") return html`<strong>${inner}</strong>`;
    return part.kind === "em" ? html`<em>${inner}</em>` : html`<del>${inner}</del>`;
  });
}

/** A link says where it leads. The page loads no images of other hosts. */
function linkView(link: Extract<Inline, { kind: "link" }>): View {
  const { href, image, content } = link;
  const target = unsaidTarget(link);
  return html`<span><a class="link" href=${href} title=${href} target="_blank" rel="noopener noreferrer">${image && "image: "}${inlineView(content)}</a>${target !== undefined && html` <span class="target">(${target})</span>`}</span>`;
}
