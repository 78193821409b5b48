"""`python -m headstart`, where there is no command `headstart`, as in the image of the server."""

from headstart.pipelines.cli.main import main

main()
