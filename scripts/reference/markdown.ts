/** Text as code. */
export function code(text: string): string {
  return `\`${text}\``;
}

/**
 * A table in Markdown. Leaves out columns without a cell.
 *
 * @param head the titles of the columns
 */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const shown = head.map((_, column) => rows.some((row) => row[column] !== ""));
  const lines = [head, head.map(() => "---"), ...rows].map((row) => {
    const cells = row.filter((_, column) => shown[column]).map((cell) => cell.replaceAll("|", "\\|"));
    return `| ${cells.join(" | ")} |\n`;
  });
  return lines.join("");
}

/** Plain text in which neither Markdown nor the site takes `<` and `{{` outside code for markup. */
export function prose(text: string): string {
  const parts = text.split(/(`[^`]*`)/);
  return parts
    .map((part, at) => (at % 2 === 0 ? part.replaceAll("<", "&lt;").replaceAll("{{", "&#123;{") : part))
    .join("");
}
