"""One job: its output as it comes, then how it ended."""

from launcher import Client
from launcher.errors import JobFailed

client = Client()
job = client.run(
    "busybox", ["sh", "-c", "echo hello from slice $LAUNCHER_SLICES"], profile="1g.6gb"
)
for line in job.logs(follow=True):
    print(line)

try:
    print("exit code", client.run("busybox", "ls /missing", profile="1g.6gb").result().exit_code)
except JobFailed as error:
    print(f"job {error.job_id} is {error.outcome}, exit code {error.exit_code}")
    print(*error.last_lines, sep="\n")
