// Letters on a colour made from the address: the same person always looks the same. No picture is fetched.
// The letters are decoration, so they come from the style sheet and are no text of the control around them.

const HUES = 24;

export function hueOf(text: string): number {
  let sum = 7;
  for (const letter of text.toLowerCase()) sum = (sum * 31 + letter.codePointAt(0)!) % 9973;
  return (sum % HUES) * (360 / HUES);
}

export function initialsOf(name: string): string {
  const words = name
    .replace(/@.*$/, "")
    .split(/[^\p{L}\p{N}]+/u)
    .filter(Boolean);
  const letters = [words[0], words.length > 1 ? words.at(-1) : undefined].map((word) => [...(word ?? "")][0] ?? "");
  return letters.join("").toUpperCase() || "?";
}

export function Avatar({ name, email, size = 36 }: { name?: string | null; email: string; size?: number }) {
  const style = {
    "--hue": String(hueOf(email)),
    width: `${size}px`,
    height: `${size}px`,
    fontSize: `${size * 0.38}px`,
  };
  return <span class="avatar" style={style} data-letters={initialsOf(name || email)} aria-hidden="true" />;
}
