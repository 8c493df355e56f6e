// The objects of RFC 8620 and RFC 8621 as the page uses them, and those of urn:posthouse:web.

export type Id = string;
export type UtcDate = string;

export interface ResultReference {
  resultOf: string;
  name: string;
  path: string;
}

export type Arguments = Record<string, unknown>;
export type Invocation = [name: string, args: Arguments, callId: string];

export interface Session {
  capabilities: Record<string, Record<string, unknown>>;
  accounts: Record<Id, { name: string; isPersonal: boolean; isReadOnly: boolean }>;
  primaryAccounts: Record<string, Id>;
  username: string;
  apiUrl: string;
  downloadUrl: string;
  uploadUrl: string;
  eventSourceUrl: string;
  state: string;
}

export interface Mailbox {
  id: Id;
  name: string;
  parentId: Id | null;
  role: string | null;
  sortOrder: number;
  totalEmails: number;
  unreadEmails: number;
  totalThreads: number;
  unreadThreads: number;
  isSubscribed: boolean;
  myRights: Record<string, boolean>;
}

export interface EmailAddress {
  name: string | null;
  email: string;
}

export interface BodyPart {
  partId: string | null;
  blobId: Id | null;
  size: number;
  name: string | null;
  type: string;
  charset: string | null;
  disposition: string | null;
  cid: string | null;
  headers?: { name: string; value: string }[];
  subParts?: BodyPart[] | null;
}

export interface BodyValue {
  value: string;
  isEncodingProblem: boolean;
  isTruncated: boolean;
}

/** What a row of the list needs. */
export interface EmailSummary {
  id: Id;
  threadId: Id;
  mailboxIds: Record<Id, true>;
  keywords: Record<string, true>;
  size: number;
  receivedAt: UtcDate;
  from: EmailAddress[] | null;
  to: EmailAddress[] | null;
  subject: string | null;
  preview: string;
  hasAttachment: boolean;
}

/** What reading a message needs besides. */
export interface Email extends EmailSummary {
  blobId: Id;
  messageId: string[] | null;
  inReplyTo: string[] | null;
  references: string[] | null;
  sender: EmailAddress[] | null;
  cc: EmailAddress[] | null;
  bcc: EmailAddress[] | null;
  replyTo: EmailAddress[] | null;
  sentAt: string | null;
  textBody: BodyPart[];
  htmlBody: BodyPart[];
  attachments: BodyPart[];
  bodyValues: Record<string, BodyValue>;
}

export interface Thread {
  id: Id;
  emailIds: Id[];
}

export interface SearchSnippet {
  emailId: Id;
  subject: string | null;
  preview: string | null;
}

export interface Identity {
  id: Id;
  name: string;
  email: string;
  replyTo: EmailAddress[] | null;
  bcc: EmailAddress[] | null;
  textSignature: string;
  htmlSignature: string;
  mayDelete: boolean;
  isDefault?: boolean;
}

export interface DeliveryStatus {
  smtpReply: string;
  delivered: "queued" | "yes" | "no" | "unknown";
  displayed: "unknown" | "yes";
}

export interface DeliveryTime {
  outcome: string;
  at: UtcDate | null;
  reply: string;
  nextHop?: string | null;
}

export interface EmailSubmission {
  id: Id;
  identityId: Id;
  emailId: Id;
  threadId: Id;
  sendAt: UtcDate;
  undoStatus: "pending" | "final" | "canceled";
  deliveryStatus: Record<string, DeliveryStatus> | null;
  deliveryTimes?: Record<string, DeliveryTime>;
}

export interface VacationResponse {
  id: "singleton";
  isEnabled: boolean;
  fromDate: UtcDate | null;
  toDate: UtcDate | null;
  subject: string | null;
  textBody: string | null;
  htmlBody: string | null;
}

export interface Snooze {
  id: Id;
  emailId: Id;
  until: UtcDate;
  mailboxIds: Record<Id, true>;
}

export interface SavedSearch {
  id: Id;
  name: string;
  query: string;
  sortOrder: number;
}

export interface AddressSuggestion {
  name: string;
  email: string;
  count: number;
}

export interface SetError {
  type: string;
  description?: string | null;
  properties?: string[] | null;
}

export interface GetAnswer<T> {
  accountId: Id;
  state: string;
  list: T[];
  notFound: Id[];
}

export interface SetAnswer<T = Record<string, unknown>> {
  accountId: Id;
  oldState: string | null;
  newState: string;
  created: Record<Id, Partial<T>> | null;
  updated: Record<Id, Partial<T> | null> | null;
  destroyed: Id[] | null;
  notCreated: Record<Id, SetError> | null;
  notUpdated: Record<Id, SetError> | null;
  notDestroyed: Record<Id, SetError> | null;
}

export interface ChangesAnswer {
  oldState: string;
  newState: string;
  hasMoreChanges: boolean;
  created: Id[];
  updated: Id[];
  destroyed: Id[];
}

export interface QueryAnswer {
  queryState: string;
  canCalculateChanges: boolean;
  position: number;
  ids: Id[];
  total?: number;
}

export interface QueryChangesAnswer {
  oldQueryState: string;
  newQueryState: string;
  total?: number;
  removed: Id[];
  added: { id: Id; index: number }[];
}

export interface StateChange {
  "@type": "StateChange";
  changed: Record<Id, Record<string, string>>;
}

export type Filter = FilterOperator | FilterCondition;

export interface FilterOperator {
  operator: "AND" | "OR" | "NOT";
  conditions: Filter[];
}

export interface FilterCondition {
  inMailbox?: Id;
  inMailboxOtherThan?: Id[];
  before?: UtcDate;
  after?: UtcDate;
  minSize?: number;
  maxSize?: number;
  hasKeyword?: string;
  notKeyword?: string;
  hasAttachment?: boolean;
  text?: string;
  from?: string;
  to?: string;
  cc?: string;
  bcc?: string;
  subject?: string;
  body?: string;
  header?: string[];
}
