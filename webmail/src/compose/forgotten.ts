/** Whether a text speaks of an attachment, in English or German, outside of what is quoted and of the signature. Pure. */

const WORDS = [
  // English
  /\b(?:i|we)(?:['’]ve| have)? (?:attach(?:ed)?|enclosed?)\b/i,
  /\b(?:i|we)(?:['’](?:m|re)| am| are) (?:attaching|enclosing)\b/i,
  /\b(?:see|find|is|are|as|the|in the|please) (?:the )?(?:attached|enclosed|attachments?|enclosure)\b/i,
  /\battached (?:is|are|you|please|herewith|file|files|document|documents)\b/i,
  /\bhere(?:['’]s| is| are) (?:the|my|our) (?:attachment|attached)/i,
  /^\s*(?:attached|enclosed)\b/im,
  // German
  /\b(?:im|siehe|s\.|den|der|dem|als|mit|meinem|unserem|beiliegenden|beigefügten) anhang\b/i,
  /\b(?:im|in den|in der|die|den) anh(?:ang|änge|ängen)\b/i,
  /\b(?:in der|als|siehe) anlage\b/i,
  /\b(?:an)?bei (?:sende|schicke|übersende|erhalten|erhältst|findest|finden|gebe)\b/i,
  /\b(?:an)?bei(?:liegend|gefügt|gelegt)/i,
  /\bangeh(?:ä|ae)ngt/i,
  /\bhänge .{0,40}\ban\b/i,
  /\banbei\b/i,
];

export function speaksOfAttachment(subject: string, text: string): boolean {
  const own = `${subject}\n${ownLines(text)}`;
  return WORDS.some((word) => word.test(own));
}

/** Up to the signature or a forwarded text, without the quoted lines. */
function ownLines(text: string): string {
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  const end = lines.findIndex((line) => line === "-- " || line === "--" || /^-{5,} .* -{5,}$/.test(line));
  return (end < 0 ? lines : lines.slice(0, end)).filter((line) => !line.startsWith(">")).join("\n");
}
