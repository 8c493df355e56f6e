import { useState } from "preact/hooks";
import { api } from "../api.ts";
import { loadSession } from "../state/session.ts";
import { Button } from "../ui/button.tsx";
import { TextField } from "../ui/field.tsx";

export default function SignIn() {
  const [username, setUsername] = useState("");
  const [password, setPassword] = useState("");
  const [error, setError] = useState("");
  const submit = async (event: Event) => {
    event.preventDefault();
    try {
      await api("POST", "session", { username, password });
      await loadSession();
    } catch (reason) {
      setError(String(reason));
    }
  };
  return (
    <main id="content" class="page">
      <form onSubmit={submit}>
        <TextField label="Address" value={username} onInput={setUsername} autocomplete="username" />
        <TextField label="Password" type="password" value={password} onInput={setPassword} error={error} />
        <Button kind="primary" type="submit">
          Sign in
        </Button>
      </form>
    </main>
  );
}
