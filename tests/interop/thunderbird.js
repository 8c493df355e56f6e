// What tests ask of Thunderbird. Runs in its main window, with its rights.
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const account = MailServices.accounts.accounts[0];
const root = account.incomingServer.rootFolder;

async function until(probe, what) {
  for (let turn = 0; turn < 400; turn++) {
    const found = probe();
    if (found) {
      return found;
    }
    await new Promise(resolve => window.setTimeout(resolve, 50));
  }
  throw new Error(`waited for ${what}`);
}

function pane() {
  return window.document.getElementById("tabmail").currentAbout3Pane;
}

function findFolder(name) {
  return root.descendants.find(folder => folder.name.toLowerCase() == name.toLowerCase());
}

function findRow(subject) {
  const view = pane().gDBView;
  for (let row = 0; view && row < view.rowCount; row++) {
    if (view.getMsgHdrAt(row).mime2DecodedSubject == subject) {
      return row;
    }
  }
  return -1;
}

async function open(name) {
  const folder = await until(() => findFolder(name), name);
  pane().displayFolder(folder.URI);
  await until(() => pane().gDBView?.msgFolder == folder, `the list of ${name}`);
  folder.updateFolder(window.msgWindow);
}

async function select(subject) {
  await until(() => findRow(subject) >= 0, subject);
  pane().threadTree.selectedIndex = findRow(subject);
  await until(() => pane().gDBView.hdrForFirstSelectedMessage.mime2DecodedSubject == subject, `${subject} chosen`);
}

async function compose(to, bcc, subject, body) {
  const fields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
  Object.assign(fields, { to, bcc, subject, body });
  const params = Cc["@mozilla.org/messengercompose/composeparams;1"].createInstance(Ci.nsIMsgComposeParams);
  params.composeFields = fields;
  params.format = Ci.nsIMsgCompFormat.PlainText;
  params.identity = account.defaultIdentity;
  params.type = Ci.nsIMsgCompType.New;
  const ready = new Promise(resolve => {
    const look = {
      observe(opened) {
        opened.addEventListener("compose-editor-ready", () => resolve(opened), { once: true });
        Services.ww.unregisterNotification(look);
      },
    };
    Services.ww.registerNotification(look);
  });
  MailServices.compose.OpenComposeWindowWithParams(null, params);
  return ready;
}

const actions = {
  async trust(host, ports, certificate) {
    const known = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB);
    const exceptions = Cc["@mozilla.org/security/certoverride;1"].getService(Ci.nsICertOverrideService);
    const parsed = known.constructX509FromBase64(certificate);
    for (const port of ports) {
      exceptions.rememberValidityOverride(host, port, {}, parsed, false);
    }
  },

  async keepPassword(host, user, password) {
    for (const scheme of ["imap", "smtp"]) {
      const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
      login.init(`${scheme}://${host}`, null, `${scheme}://${host}`, user, password, "", "");
      await Services.logins.addLoginAsync(login);
    }
  },

  async listFolders() {
    await until(() => pane()?.displayFolder && window.msgWindow, "its main window");
    await open("INBOX"); // before the first connection it looks for no others
    account.incomingServer.performExpand(window.msgWindow);
    await until(() => findFolder("Trash") && findFolder("Outbox"), "the folders");
    return root.descendants.map(folder => folder.name);
  },

  async useOf(name) {
    const flags = Ci.nsMsgFolderFlags;
    const uses = { archive: flags.Archive, drafts: flags.Drafts, junk: flags.Junk, sent: flags.SentMail, trash: flags.Trash };
    return Object.keys(uses).filter(use => findFolder(name).flags & uses[use]);
  },

  // What stands in the message pane.
  async read(name, subject) {
    await open(name);
    await select(subject);
    const shown = () => window.document.getElementById("tabmail").currentAboutMessage;
    const text = () => shown()?.getMessagePaneBrowser()?.contentDocument?.querySelector(".moz-text-plain, pre")?.textContent;
    const title = () => shown()?.document.getElementById("expandedsubjectBox")?.textContent ?? "";
    await until(() => shown()?.gMessage?.mime2DecodedSubject == subject, `${subject} chosen`);
    await until(() => title().includes(subject) && text(), `the text of ${subject}`);
    return text();
  },

  async waitShown(subject) {
    await until(() => findRow(subject) >= 0, subject);
  },

  async move(from, subject, to) {
    await open(from);
    await select(subject);
    pane().gDBView.doCommandWithFolder(Ci.nsMsgViewCommandType.moveMessages, findFolder(to));
    await until(() => findRow(subject) < 0, `${subject} gone`);
  },

  async flag(name, subject) {
    await open(name);
    await select(subject);
    window.goDoCommand("cmd_markAsFlagged");
  },

  async remove(name, subject) {
    await open(name);
    await select(subject);
    window.goDoCommand("cmd_delete");
    await until(() => findRow(subject) < 0, `${subject} gone`);
  },

  async send(to, bcc, subject, body) {
    const writing = await compose(to, bcc, subject, body);
    writing.goDoCommand("cmd_sendNow");
    await until(() => writing.closed, `${subject} sent`);
  },

  async draft(to, bcc, subject, body) {
    const writing = await compose(to, bcc, subject, body);
    writing.goDoCommand("cmd_saveAsDraft");
    await until(() => writing.gSaveOperationInProgress === false && !writing.gContentChanged, `${subject} saved`);
    writing.close();
  },
};
