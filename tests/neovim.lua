-- What tests/neovim.rs lets Neovim do with a recipe: argument 1 is the program, 2 the file. Prints one JSON object.
local program, file = _G.arg_program, _G.arg_file
vim.cmd("edit " .. file)
local buffer = vim.api.nvim_get_current_buf()
vim.bo[buffer].filetype = "align"
local client = vim.lsp.start_client({ name = "align", cmd = { program, "lsp" }, root_dir = vim.fn.fnamemodify(file, ":h") })
vim.lsp.buf_attach_client(buffer, client)

local said = {}
local function mistakes()
  local found = {}
  for _, d in ipairs(vim.diagnostic.get(buffer)) do
    table.insert(found, { line = d.lnum, column = d.col, message = d.message, code = d.code or (d.user_data and d.user_data.lsp and d.user_data.lsp.code) })
  end
  return found
end
local function wait(what, is)
  if not vim.wait(60000, is, 20) then
    said.timeout = what
    error("waited in vain for " .. what)
  end
end
local function ask(method, line, column)
  local params = { textDocument = vim.lsp.util.make_text_document_params(buffer), position = { line = line, character = column }, options = { tabSize = 4, insertSpaces = true } }
  local answers = vim.lsp.buf_request_sync(buffer, method, params, 60000)
  for _, answer in pairs(answers or {}) do
    return answer.result
  end
end

local ok, why = pcall(function()
  wait("the first mistakes", function() return #mistakes() > 0 end)
  said.first = mistakes()
  -- mend it as a person would: in the buffer, unsaved
  local lines = vim.api.nvim_buf_get_lines(buffer, 0, -1, false)
  for at, line in ipairs(lines) do
    lines[at] = line:gsub("leest", "least")
  end
  vim.api.nvim_buf_set_lines(buffer, 0, -1, false, lines)
  wait("no mistakes", function() return #mistakes() == 0 end)
  local hover = ask("textDocument/hover", 4, 13)
  said.hover = hover and hover.contents.value
  local items = ask("textDocument/completion", 4, 25)
  said.completion = {}
  for _, item in ipairs(items or {}) do
    table.insert(said.completion, item.label)
  end
  vim.lsp.util.apply_text_edits(ask("textDocument/formatting", 0, 0), buffer, "utf-16")
  said.formatted = table.concat(vim.api.nvim_buf_get_lines(buffer, 0, -1, false), "\n")
end)
if not ok then said.error = tostring(why) end
io.stdout:write("\nANSWER " .. vim.json.encode(said) .. "\n")
vim.lsp.stop_client(client)
vim.cmd("qall!")
