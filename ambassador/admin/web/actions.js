"use strict";

// Changing something, after asking whether it is meant.

const dialog = must($("ask"), HTMLDialogElement);
const tokenField = must($("token"), HTMLInputElement);
let token = "";

/** @param {Connection} entry */
async function reset({ id, route, client }) {
  if (!(await confirmed(`Reset connection ${id} of ${route}, from ${client}?`, false))) return;
  await change("DELETE", `connections/${id}`, lookAtConnections);
}

async function drain() {
  const question = "Drain? No more clients are accepted, and the process ends when the last connection has.";
  if (await confirmed(question, false)) await change("POST", "drain", look);
}

/**
 * @param {string} method
 * @param {string} path
 * @param {() => Promise<void>} lookAgain
 */
async function change(method, path, lookAgain) {
  try {
    let answer = await send(method, path);
    while (answer.status === 401) {
      token = "";
      if (!(await confirmed("From another machine this needs the token of AMBASSADOR_ADMIN_TOKEN.", true))) return;
      token = tokenField.value;
      answer = await send(method, path);
    }
    if (!answer.ok && answer.status !== 404) say(await answer.text());
    await lookAgain();
  } catch (error) {
    say(message(error));
  }
}

/**
 * @param {string} method
 * @param {string} path
 */
function send(method, path) {
  return fetch(path, { method, headers: token ? { Authorization: `Bearer ${token}` } : {} });
}

/**
 * @param {string} question
 * @param {boolean} withToken
 * @returns {Promise<boolean>}
 */
function confirmed(question, withToken) {
  put($("ask-text"), question);
  tokenField.hidden = !withToken;
  tokenField.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  (withToken ? tokenField : $("ask-yes")).focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

$("ask-no").addEventListener("click", () => dialog.close());
$("drain").addEventListener("click", drain);
