"""The service: images in over HTTP, records out. Only here are fastapi and uvicorn (extra ``serve``) imported."""
