//! A root shell on a machine's serial console.

use crate::deadline;
use crate::running::Running;
use anyhow::Result;

/// A conversation with a shell. Commands are typed as a person would.
#[derive(Debug)]
pub struct Shell<'a> {
    machine: &'a mut Running,
    /// Commands so far: each has a marker of its own.
    commands: u32,
}

impl<'a> Shell<'a> {
    /// Logs in as root; the login prompt must be what the machine last said, or the next it says.
    pub fn log_in(machine: &'a mut Running, password: &str) -> Result<Self> {
        machine.type_line("root")?;
        machine.expect("Password:", deadline::COMMAND)?;
        machine.type_line(password)?;
        machine.expect("# ", deadline::COMMAND)?;
        // A plain shell edits no lines, and without a prompt there is only what commands say.
        // The login shell does while it reads: nothing more is typed before it says that it has.
        machine.type_line("echo 'sh'ell; exec env PS1= sh")?;
        machine.expect("shell\n", deadline::COMMAND)?;
        let mut shell = Self { machine, commands: 0 };
        // The kernel would talk into what commands say.
        shell.run("dmesg --console-off")?;
        Ok(shell)
    }

    /// Runs a command of one line and returns what it said. It must succeed.
    pub fn run(&mut self, command: &str) -> Result<String> {
        self.commands += 1;
        let number = self.commands;
        // The quotes keep the echo of what is typed from looking like the marker.
        self.machine.type_line(&format!("{command}; echo 'run'{number}=$?"))?;
        let said = self.machine.expect_until(&format!("run{number}="), deadline::COMMAND)?;
        let status = self.machine.expect_until("\n", deadline::COMMAND)?;
        let output = said.split_once('\n').map_or("", |(_echo, output)| output).to_owned();
        if status == "0" {
            return Ok(output);
        }
        Err(self.machine.failure(&format!("ran {command:?}, which ended with status {status}")))
    }

    /// Shuts the system down and waits for the end of the machine.
    pub fn power_off(self) -> Result<()> {
        self.machine.type_line("systemctl poweroff")?;
        self.machine.wait_exit(deadline::SHUT_DOWN)
    }
}
