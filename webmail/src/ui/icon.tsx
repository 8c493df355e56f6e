// Line icons on a 24 grid, drawn for this page. Decoration only: whoever shows one names the control.

const paths = {
  inbox: "M3 13h5l1.5 3h5l1.5-3h5M3 13l3-8h12l3 8v6a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1z",
  send: "M4 12 20 4l-5 16-4-7z M11 13l9-9",
  draft: "M14 4H6a1 1 0 0 0-1 1v14a1 1 0 0 0 1 1h12a1 1 0 0 0 1-1v-8M11 13l9-9",
  archive: "M4 4h16v4H4zM5 8v11a1 1 0 0 0 1 1h12a1 1 0 0 0 1-1V8M10 12h4",
  junk: "M12 3 3 8v8l9 5 9-5V8zM12 8v5M12 16v.01",
  trash: "M4 6h16M9 6V4h6v2M6 6l1 14h10l1-14M10 10v6M14 10v6",
  clock: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7v5l3 2",
  schedule: "M4 12 20 4l-3 8M4 12l7 1 1 2M17.5 14a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM17.5 16v2l1.5 1",
  folder: "M3 6a1 1 0 0 1 1-1h5l2 2h9a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1z",
  star: "m12 3.5 2.6 5.4 5.9.8-4.3 4.1 1.05 5.900L12 16.900l-5.25 2.8 1.05-5.900L3.5 9.700l5.9-.800z",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l4.5 4.5",
  menu: "M4 7h16M4 12h16M4 17h16",
  close: "M6 6l12 12M18 6 6 18",
  check: "m5 12.5 4.5 4.500L19 7.5",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  more: "M5.5 12h.010M12 12h.010M18.5 12h.01",
  reply: "M9 6 4 11l5 5M4 11h9a7 7 0 0 1 7 7v1",
  replyAll: "M12 6l-5 5 5 5M7.5 6.5 3 11l4.5 4.500M7 11h7a6 6 0 0 1 6 6v2",
  forward: "m15 6 5 5-5 5M20 11h-9a7 7 0 0 0-7 7v1",
  compose: "M4 20h4L19.5 8.500a2.1 2.1 0 0 0-3-3L5 17z M14.5 7.500l3 3",
  settings:
    "M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM19.4 13.500l1.6 1.2-2 3.4-1.9-.700a7.5 7.5 0 0 1-2.4 1.400L14.4 21h-4l-.3-2.200a7.5 7.5 0 0 1-2.4-1.400l-2 .7-2-3.4 1.7-1.200a7.6 7.6 0 0 1 0-2.900L3.7 9.300l2-3.4 2 .700A7.5 7.5 0 0 1 10 5.200L10.4 3h4l.3 2.200A7.5 7.5 0 0 1 17 6.600l2-.7 2 3.4-1.6 1.300a7.6 7.6 0 0 1 0 2.900z",
  admin: "M12 3l8 3v6c0 4.5-3.4 7.8-8 9-4.6-1.2-8-4.5-8-9V6zM9 12l2 2 4-4",
  user: "M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM4.5 20c.7-3.5 3.7-5.5 7.5-5.500s6.8 2 7.5 5.5",
  users:
    "M9 5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7zM3 19c.5-3 3-4.5 6-4.500s5.5 1.5 6 4.500M15.5 5.500a3.5 3.5 0 0 1 0 6.300M17.5 14.800c2 .6 3.2 2 3.5 4.2",
  attach: "m20 11-8.5 8.500a5 5 0 0 1-7-7L13 4a3.4 3.4 0 0 1 4.8 4.800L9.5 17a1.7 1.7 0 0 1-2.4-2.400L15 7",
  download: "M12 4v11M7 11l5 5 5-5M4 20h16",
  upload: "M12 16V5M7 9l5-5 5 5M4 20h16",
  print: "M7 9V4h10v5M7 17H4v-7a1 1 0 0 1 1-1h14a1 1 0 0 1 1 1v7h-3M7 14h10v6H7z",
  image: "M4 5h16v14H4zM4 16l4.5-4.500L13 16l3-3 4 4M15.5 9v.01",
  file: "M14 3H6a1 1 0 0 0-1 1v16a1 1 0 0 0 1 1h12a1 1 0 0 0 1-1V8zM14 3v5h5",
  calendar: "M4 6h16v14H4zM4 10h16M8 3v4M16 3v4",
  tag: "M4 4h7l9 9-7 7-9-9zM8 8v.01",
  move: "M3 6a1 1 0 0 1 1-1h5l2 2h9a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1zM9 13h6M12.5 10.5 15 13l-2.5 2.5",
  unread: "M4 6h11M4 6v12h16v-7M4 7l8 6 3-2.200M19 3.500a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5z",
  read: "M4 10v9h16v-9l-8-6zM4 10l8 6 8-6",
  mail: "M3 6h18v13H3zM3 7l9 7 9-7",
  chevronDown: "m6 9.5 6 6 6-6",
  chevronRight: "m9.5 6 6 6-6 6",
  chevronLeft: "m14.5 6-6 6 6 6",
  chevronUp: "m6 14.5 6-6 6 6",
  arrowLeft: "M11 5l-7 7 7 7M4 12h16",
  refresh: "M20 11a8 8 0 1 0-2.3 6.300M20 5v6h-6",
  warning: "M12 4 2.5 20h19zM12 10v5M12 17.500v.01",
  info: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 11v5M12 8v.01",
  key: "M8 10.500a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM11 12l9-9M16 7l3 3",
  lock: "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
  bell: "M6 16V11a6 6 0 0 1 12 0v5l1.5 2h-15zM10 20.500h4",
  filter: "M4 6h16M7 12h10M10 18h4",
  queue: "M4 5h16v4H4zM4 11h16v4H4zM4 17h16v3H4z",
  chart: "M4 4v16h16M8 16v-4M12 16V8M16 16v-6",
  globe: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM3 12h18M12 3c5 5 5 13 0 18-5-5-5-13 0-18z",
  alias: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM16 8v5.500a2.5 2.5 0 0 0 5 0V12a9 9 0 1 0-4 7.5",
  logout: "M10 4H5v16h5M14 8l4 4-4 4M18 12H9",
  keyboard: "M3 7h18v11H3zM6.5 10.500h.010M10 10.500h.010M13.5 10.500h.010M17 10.500h.010M8 14.500h8",
  bold: "M7 5h6a3.5 3.5 0 0 1 0 7H7zM7 12h7a3.5 3.5 0 0 1 0 7H7z",
  italic: "M11 5h6M7 19h6M14 5l-4 14",
  underline: "M7 4v7a5 5 0 0 0 10 0V4M6 20h12",
  strike:
    "M5 12h14M16.5 7.500C16 6 14.3 5 12 5c-2.5 0-4.3 1.2-4.3 3.200M7.5 16c.5 1.8 2.2 3 4.5 3 2.6 0 4.5-1.3 4.5-3.3 0-.7-.2-1.3-.6-1.7",
  link: "M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.300l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3A4 4 0 0 0 11 18.700l1-1",
  listBullet: "M9 6h11M9 12h11M9 18h11M4.5 6h.010M4.5 12h.010M4.5 18h.01",
  listNumber: "M10 6h10M10 12h10M10 18h10M4 5l1.5-1v4M4 14.500c0-1.5 2.5-1.5 2.5 0 0 1-2.5 2-2.5 3h2.5",
  quote: "M5 7h5v5c0 3-1.5 4.5-4 5M14 7h5v5c0 3-1.5 4.5-4 5",
  clear: "M6 5h13M12.5 5 10 15M4 20h7M15 15l5 5M20 15l-5 5",
  expand: "M14 4h6v6M10 20H4v-6M20 4l-7 7M4 20l7-7",
  collapse: "M20 10h-6V4M4 14h6v6M14 10l6-6M10 14l-6 6",
  external: "M14 4h6v6M20 4l-9 9M18 14v5a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V7a1 1 0 0 1 1-1h5",
  eye: "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12zM12 9.500a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5z",
  undo: "M8 5 4 9l4 4M4 9h10a6 6 0 0 1 0 12h-4",
  device: "M4 5h16v11H4zM9 20h6M12 16v4",
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name, size = 20, isFilled }: { name: IconName; size?: number; isFilled?: boolean }) {
  return (
    <svg
      class="icon"
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill={isFilled ? "currentColor" : "none"}
      stroke="currentColor"
      stroke-width={name === "more" ? 2.6 : 1.7}
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      <path d={paths[name]} />
    </svg>
  );
}
