import { de } from "./de.ts";
import { en } from "./en.ts";
import { section } from "./index.ts";

/** Texts of the shell and of the mail view. */
export const t = section(en, de);
