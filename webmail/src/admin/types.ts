/** What /api/admin gives (docs: /api/docs). */

export interface Page<T> {
  items: T[];
  more: boolean;
}

export interface Domain {
  domain: string;
  alias_of: string | null;
  accounts: number;
  aliases: number;
}

export interface Account {
  id: number;
  address: string;
  name: string;
  addresses: string[];
  quota: number | null;
  quota_emails: number | null;
  disabled: boolean;
  admin: boolean;
}

export interface AccountDetails extends Account {
  used: number;
  used_emails: number;
  second_factors: string[];
  app_passwords: number;
  web_sessions: number;
}

export interface Alias {
  address: string;
  targets: string[];
}

export interface QueueRecipient {
  address: string;
  status: string;
  attempts: number;
  next_attempt: string | null;
  last_reply: string | null;
  next_hop: string | null;
  reason: string;
  reasonCode: string;
}

export interface QueueItem {
  id: string;
  sender: string;
  recipients: QueueRecipient[];
  size: number;
  arrived: string;
  held: boolean;
}

export interface QueuePage extends Page<QueueItem> {
  unanswered: string;
}

export interface Story {
  id: string;
  began: string;
  records: { time: string; step: string; words: string; details: string }[];
}

export interface ServerSession {
  id: string;
  service: string;
  peer: string;
  name: string | null;
  login: string | null;
  doing: string | null;
  tls: string | null;
  since: string;
}

export interface Percentiles {
  p50: number | null;
  p90: number | null;
  p99: number | null;
}

export const COUNTERS = ["received", "submitted", "delivered", "relayed", "deferred", "failed", "rejected"] as const;
export type Counter = (typeof COUNTERS)[number];

export interface Minute extends Record<Counter, number> {
  at: string;
  queue: Record<string, number>;
  deliveryTimes: Percentiles;
}

export interface Figures {
  at: string;
  now: Record<Counter, number> & {
    perSecond: Record<Counter, number>;
    queue: Record<string, number>;
    deliveryTimes: Percentiles;
    messages?: number;
    oldestSeconds?: number | null;
  };
  minutes: Minute[];
}
